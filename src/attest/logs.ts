/** How the logs that explain a quote travel: asked for by the server, read by the agent after the quote. */

/** In the order in which they come to be. */
export type MeasuredLog = 'boot-log' | 'userspace-log' | 'ima-list';

/** What the server wants of one log beside a quote. */
export interface LogWish {
  readonly log: MeasuredLog;
  /** Bytes that the server holds already. */
  readonly offset: number;
  /** The server holds a log with this SHA-256; empty: it holds none. */
  readonly knownSha256: Uint8Array;
  readonly maxBytes: number;
}

/** Further bytes of one log. */
export interface LogRequest {
  readonly log: MeasuredLog;
  readonly offset: number;
  readonly maxBytes: number;
}

/** `shorter`: the log ends before the offset that was asked for. */
export type LogPartState = 'present' | 'unchanged' | 'absent' | 'unreadable' | 'shorter';

/** Claims only: what a log says is nothing before a quote vouches for it. */
export interface SentLogPart {
  readonly log: MeasuredLog;
  readonly state: LogPartState;
  readonly offset: number;
  readonly data: Uint8Array;
  /** Bytes that followed when it was read. */
  readonly remaining: number;
  /** One sentence, for `absent` and `unreadable`. */
  readonly reason: string;
}

/** What an agent says in its features when it answers wishes for logs and ticks. */
export const MEASUREMENT_FEATURE = 'measurement-1';
