import type { Entry } from '../../spiffe/entry.js';
import type {
  AllowedEk,
  AuthorityRecord,
  BundleRecord,
  EvidenceRecord,
  Host,
  JoinToken,
  MeasureObjectRecord,
  MeasureResolutionRecord,
  Node,
  WithdrawalRecord,
} from '../model.js';
import type { EventRecord } from '../record/model.js';

/** Every kind of record, with the type of its value. */
export interface Records {
  entry: Entry;
  /** Key: entryUniqueKey; holds the id of the one entry that has it. */
  entry_key: { id: string };
  node: Node;
  host: Host;
  /** Every EK hash of a chip, whichever of its keys names the host. */
  host_ek: { hostId: string };
  allowed_ek: AllowedEk;
  join_token: JoinToken;
  authority: AuthorityRecord;
  /** Own bundle (extra authorities that were appended, sequence, hint) and foreign ones, by trust domain name. */
  bundle: BundleRecord;
  /** Key: `<kind>/<name>/<hash>`, all versions. */
  measure_object: MeasureObjectRecord;
  /** Key: `<kind>/<name>`: the version in force. */
  measure_head: { hash: string; at: number; by: string };
  /** Key: the id of a `ResolvedPolicy`: which versions it was made of. */
  measure_resolution: MeasureResolutionRecord;
  /** Key: `<host id>/<evidence id>`; ids ascend with time. */
  evidence: EvidenceRecord;
  /** Key: `<host id>/<boot>/<log kind>/<offset, 12 hex digits>`: pieces of logs, base64. */
  evidence_log: { data: string };
  /** Key: node ID. */
  withdrawal: WithdrawalRecord;
  /**
   * Key: `<node ID>#<first counter, 12 hex digits>`: counters of serial numbers that were set aside for what one X.509 authority
   * signs for a node; `until` and `withdrawn` in Unix milliseconds.
   */
  serial_block: { first: number; count: number; until: number; authority: string; withdrawn: number };
  /** What commits meant, until it is in the log of events (record/). */
  event: EventRecord;
  /** Counters and markers of the server itself. */
  meta: { value: string };
}

export type Kind = keyof Records;

export interface Stored<T> {
  readonly key: string;
  readonly value: T;
  /** The revision of the commit that wrote it. */
  readonly revision: number;
}

export type Write = {
  [K in Kind]:
    | { readonly kind: K; readonly key: string; readonly value: Records[K] }
    | { readonly kind: K; readonly key: string; readonly deleted: true };
}[Kind];

/** Holds when the record's revision is exactly this; 0 means that there must be no such record. */
export interface Condition {
  readonly kind: Kind;
  readonly key: string;
  readonly revision: number;
}

/** What one commit changed, in the order of the batch. */
export interface Commit {
  readonly revision: number;
  readonly writes: readonly Write[];
}

/** Which records of a kind are listed: those between `after` and `before`, both exclusive, at most `limit` of them. */
export interface Page {
  readonly after?: string;
  readonly before?: string;
  readonly limit?: number;
  /** From the last one down. */
  readonly descending?: boolean;
}

/**
 * The server's memory. Revisions are given in commit order, without gaps: who has seen N has seen everything up
 * to N. A commit is one atomic, synced batch: after it resolves, a crash cannot lose it; before, nothing of it is seen.
 */
export interface Datastore extends AsyncDisposable {
  /** Names this store's history; revisions of another epoch mean nothing here. */
  readonly epoch: string;
  /** The newest revision. */
  readonly revision: number;
  get<K extends Kind>(kind: K, key: string): Promise<Stored<Records[K]> | undefined>;
  /** In byte order of the keys. */
  list<K extends Kind>(kind: K, page?: Page): Promise<Stored<Records[K]>[]>;
  /**
   * All writes or none.
   * @returns the commit's revision
   * @throws TouchmarkError `datastore_conflict` when a condition does not hold, `datastore_full` when the disk
   *   refuses (nothing was written and the store keeps serving), `datastore_failed` otherwise
   */
  commit(writes: readonly Write[], conditions?: readonly Condition[]): Promise<number>;
  /** Calls back for every commit in order, of this or another process, before `commit` resolves; returns the unsubscriber. */
  subscribe(listener: (commit: Commit) => void): () => void;
}
