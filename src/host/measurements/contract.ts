import type { LogWish, SentLogPart } from '../../attest/logs.js';

/** The three logs as they are from the first look on: what is added later may or may not show. */
export interface LogSnapshot {
  /**
   * One piece of one log. That a log is not there, or cannot be read, is a fact like any other: never rejects.
   * A wish for 0 bytes is one for as many as fit.
   */
  read(wish: LogWish): Promise<SentLogPart>;
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
  /** How the chip is reached whose firmware log it is, as in `attestation.tcti`; absent: the first chip. */
  readonly tcti?: string;
}

/** No answer holds more of a log. */
export const MAX_CHUNK = 1024 * 1024;
