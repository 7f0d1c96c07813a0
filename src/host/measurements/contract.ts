import type { LogKind } from '../../measure/appraise/contract.js';

export type { LogKind } from '../../measure/appraise/contract.js';

/** What somebody wants of one log. */
export interface LogWish {
  readonly log: LogKind;
  /** Bytes that are held already. */
  readonly offset: number;
  /** SHA-256 of the whole log, when it is held; empty: it is wanted. */
  readonly knownSha256: Uint8Array;
  /** At most so many bytes; 0: as many as fit. */
  readonly maxBytes: number;
}

export type LogState = 'present' | 'unchanged' | 'absent' | 'unreadable' | 'shorter';

/** One piece of one log. That a log is not there, or cannot be read, is a fact like any other. */
export interface LogPart {
  readonly log: LogKind;
  readonly state: LogState;
  readonly offset: number;
  readonly data: Uint8Array;
  /** Bytes that follow. */
  readonly remaining: number;
  /** One sentence, unless the state is `present` or `unchanged`. */
  readonly reason: string;
}

/** The three logs as they are from the first look on: what is added later may or may not show. */
export interface LogSnapshot {
  /** Never rejects. */
  read(wish: LogWish): Promise<LogPart>;
}

/** The logs of this host: read when asked for, never watched. */
export interface Measurements extends AsyncDisposable {
  /** Take it after the quote: then the logs hold everything that was quoted. */
  snapshot(): LogSnapshot;
  /** Entries of the kernel's list; undefined where the kernel keeps none. */
  imaCount(): Promise<number | undefined>;
}

/** Where the logs are. */
export interface MeasurementPaths {
  /** Usually /sys/kernel/security. */
  readonly securityfs: string;
  readonly userspaceLog: string;
}

/** No answer holds more of a log. */
export const MAX_CHUNK = 1024 * 1024;
