import { TouchmarkError } from '../../src/errors.js';
import type {
  Commit,
  Condition,
  Datastore,
  Kind,
  Page,
  Records,
  Stored,
  Write,
} from '../../src/server/datastores/contract.js';
import { conflict } from '../../src/server/datastores/level-batch.js';

/** A datastore that lives as long as the test; held by the same contract suite as the real ones. */
export interface MemoryDatastore extends Datastore {
  /** Makes the next commits fail as a full disk does, until it is called with false. */
  failAsFull(full: boolean): void;
}

interface Row {
  readonly json: string;
  readonly revision: number;
}

export function memoryDatastore(epoch = 'memory-epoch'): MemoryDatastore {
  const rows = new Map<string, Row>();
  const listeners = new Set<(commit: Commit) => void>();
  let revision = 0;
  let full = false;
  let lane: Promise<unknown> = Promise.resolve();
  const rowKey = (kind: string, key: string) => `${kind}!${key}`;

  function apply(writes: readonly Write[], conditions: readonly Condition[]): number {
    for (const { kind, key, revision: expected } of conditions) {
      const found = rows.get(rowKey(kind, key))?.revision ?? 0;
      if (found !== expected) throw conflict(kind, key, expected, found);
    }
    if (full) throw new TouchmarkError('datastore_full', 'the disk of the datastore is full');
    if (writes.length === 0) return revision;
    revision += 1;
    for (const write of writes) {
      const key = rowKey(write.kind, write.key);
      if ('deleted' in write) rows.delete(key);
      else rows.set(key, { json: JSON.stringify(write.value), revision });
    }
    for (const listener of listeners) listener({ revision, writes });
    return revision;
  }

  function stored<K extends Kind>(key: string, row: Row): Stored<Records[K]> {
    return { key, value: JSON.parse(row.json) as Records[K], revision: row.revision };
  }

  return {
    epoch,
    get revision() {
      return revision;
    },
    async get<K extends Kind>(kind: K, key: string) {
      const row = rows.get(rowKey(kind, key));
      return row === undefined ? undefined : stored<K>(key, row);
    },
    async list<K extends Kind>(kind: K, page: Page = {}) {
      const prefix = rowKey(kind, '');
      const keys = [...rows.keys()]
        .filter((key) => key.startsWith(prefix))
        .map((key) => key.slice(prefix.length));
      const sorted = keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      const compare = (key: string, bound: string) => Buffer.compare(Buffer.from(key), Buffer.from(bound));
      const within = sorted
        .filter((key) => page.after === undefined || compare(key, page.after) > 0)
        .filter((key) => page.before === undefined || compare(key, page.before) < 0);
      return (page.descending ? within.reverse() : within)
        .slice(0, page.limit ?? sorted.length)
        .flatMap((key) => {
          const row = rows.get(rowKey(kind, key));
          return row === undefined ? [] : [stored<K>(key, row)];
        });
    },
    commit(writes, conditions = []) {
      const turn = lane.then(() => apply(writes, conditions));
      lane = turn.catch(() => {});
      return turn;
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    failAsFull(value) {
      full = value;
    },
    async [Symbol.asyncDispose]() {
      await lane;
    },
  };
}
