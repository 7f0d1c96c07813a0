/** Turns a group of commits into one LevelDB batch, and writes it: conditions, revisions, the new sum. */
import { setImmediate } from 'node:timers/promises';
import { TouchmarkError } from '../../errors.js';
import type { Commit, Condition, Write } from './contract.js';
import type { LevelDb } from './level-open.js';
import {
  encodeHead,
  encodeRecord,
  foldSum,
  HEAD_KEY,
  type Head,
  recordKey,
  revisionOf,
  sumOf,
} from './level-records.js';

export interface CommitRequest {
  readonly writes: readonly Write[];
  readonly conditions: readonly Condition[];
}

export type BatchOperation =
  | { readonly type: 'put'; readonly key: string; readonly value: string }
  | { readonly type: 'del'; readonly key: string };

export type Staged = { readonly commit: Commit } | { readonly error: TouchmarkError };

export interface StagedGroup {
  /** One per request, in order. */
  readonly staged: readonly Staged[];
  readonly head: Head;
  /** Empty when nothing is to be written. */
  readonly operations: readonly BatchOperation[];
  /** The operations that take the batch back. */
  readonly inverse: readonly BatchOperation[];
}

export type RawRecords = ReadonlyMap<string, string | undefined>;

/** Every key whose present record `stageGroup` must know. */
export function keysOf(requests: readonly CommitRequest[]): string[] {
  const keys = new Set<string>();
  for (const { writes, conditions } of requests) {
    for (const { kind, key } of [...writes, ...conditions]) keys.add(recordKey(kind, key));
  }
  return [...keys];
}

/** Of records that are written: much more in one go would hold up the event loop. */
const SLICE_BYTES = 2 * 1024 * 1024;

/**
 * Requests see what those before them in the group write; a refused one leaves nothing. Nobody else may stage meanwhile: where
 * much is written, the loop is left to others in between.
 */
export async function stageGroup(
  requests: readonly CommitRequest[],
  present: RawRecords,
  head: Head,
): Promise<StagedGroup> {
  const records = new Map(present);
  const touched = new Set<string>();
  let { revision } = head;
  const sum = Buffer.from(head.sum, 'hex');
  let bytes = 0;
  const stage = async (request: CommitRequest): Promise<Staged> => {
    const error = refusal(request.conditions, records);
    if (error !== undefined) return { error };
    if (request.writes.length === 0) return { commit: { revision, writes: [] } };
    revision += 1;
    for (const write of request.writes) {
      const key = recordKey(write.kind, write.key);
      const before = records.get(key);
      const after = 'deleted' in write ? undefined : encodeRecord(write.value, revision);
      if (before !== undefined) foldSum(sum, sumOf(key, before));
      if (after !== undefined) foldSum(sum, sumOf(key, after));
      records.set(key, after);
      touched.add(key);
      bytes += after?.length ?? 0;
      if (bytes < SLICE_BYTES) continue;
      bytes = 0;
      await setImmediate();
    }
    return { commit: { revision, writes: request.writes } };
  };
  const staged: Staged[] = [];
  for (const request of requests) staged.push(await stage(request));
  if (touched.size === 0) return { staged, head, operations: [], inverse: [] };
  const newHead = { ...head, revision, sum: sum.toString('hex') };
  return {
    staged,
    head: newHead,
    operations: operationsFor(touched, records, newHead),
    inverse: operationsFor(touched, present, head),
  };
}

function operationsFor(keys: Iterable<string>, records: RawRecords, head: Head): BatchOperation[] {
  const operations: BatchOperation[] = [{ type: 'put', key: HEAD_KEY, value: encodeHead(head) }];
  for (const key of keys) {
    const value = records.get(key);
    operations.push(value === undefined ? { type: 'del', key } : { type: 'put', key, value });
  }
  return operations;
}

function refusal(conditions: readonly Condition[], records: RawRecords): TouchmarkError | undefined {
  for (const { kind, key, revision } of conditions) {
    const found = revisionOf(records.get(recordKey(kind, key)));
    if (found !== revision) return conflict(kind, key, revision, found);
  }
  return undefined;
}

/** Shared by every datastore, so that a conflict reads the same. The key is for the log: it may name a secret's hash. */
export function conflict(kind: string, key: string, expected: number, found: number): TouchmarkError {
  const is = found === 0 ? 'does not exist' : `is at revision ${found}`;
  const wanted = expected === 0 ? 'should not exist' : `should be at revision ${expected}`;
  return new TouchmarkError('datastore_conflict', `a record of kind ${kind} ${wanted} but ${is}`, {
    detail: { kind, key, expected, found },
  });
}

const ONE_BY_ONE = 1024 * 1024;

/**
 * All of it or nothing, on the disk when this resolves. Handed over one by one, operations cost half of what they do in an
 * array, but what they take in memory is given back only when garbage is collected: no way for large ones.
 */
export async function writeBatch(db: LevelDb, operations: readonly BatchOperation[]): Promise<void> {
  const size = operations.reduce((sum, one) => sum + (one.type === 'put' ? one.value.length : 0), 0);
  if (size > ONE_BY_ONE) return db.batch([...operations], { sync: true });
  const batch = db.batch();
  for (const operation of operations) {
    if (operation.type === 'put') batch.put(operation.key, operation.value);
    else batch.del(operation.key);
  }
  return batch.write({ sync: true });
}
