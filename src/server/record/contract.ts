import type { Bundle } from '../../spiffe/bundle.js';
import type { JwtSigner } from '../contract.js';
import type { Datastore } from '../datastores/contract.js';
import type { ChainHead, RecordedEvent } from './model.js';
import type { VerifyReport } from './verify.js';

/** What is looked for; absent or empty: everything. */
export interface EventQuery {
  /** Lines after this one (exclusive), or, newest first, before it; 0: from the end that the order begins with. */
  readonly from: number;
  readonly newestFirst: boolean;
  readonly limit: number;
  readonly names: readonly string[];
  /** An event's subject, or the host that it names. */
  readonly subject: string;
  /** Unix milliseconds. */
  readonly since: number;
}

export interface EventPage {
  readonly events: readonly RecordedEvent[];
  /** `from` of the next page; 0: there is none. */
  readonly next: number;
  /** Lines that could not be read; `verify` says which. */
  readonly unreadable: number;
}

/** What signs checkpoints: it may throw for as long as there is no key. */
export interface SigningAuthority {
  readonly jwt: { signer(): JwtSigner };
  bundle(): Bundle;
}

/** The record of everything that changed: append-only, chained, signed from time to time; one for each server. */
export interface EventLog extends AsyncDisposable {
  /** The datastore to be used from here on: its commits are recorded. */
  readonly store: Datastore;
  /** `<trust domain>/<id of the log>` */
  readonly server: string;
  /** The newest line that is on disk. */
  readonly head: ChainHead;
  /** From now on checkpoints are signed, and verified with the own bundle. */
  signWith(authority: SigningAuthority): void;
  /** Resolves when all that was committed before is on disk. @throws TouchmarkError `record_failed` */
  flushed(): Promise<void>;
  list(query: EventQuery): Promise<EventPage>;
  /**
   * Signs what is there, and verifies all of it as it lies on disk.
   * @throws TouchmarkError `record_busy`, `record_failed`, `record_unreadable`
   */
  verify(): Promise<VerifyReport>;
  /** The orderly end: a last line and a last checkpoint. What is committed afterwards is still recorded. */
  close(): Promise<void>;
}
