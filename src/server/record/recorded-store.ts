import type { Clock } from '../../clock.js';
import { hasCode } from '../../errors.js';
import type { Condition, Datastore, Stored, Write } from '../datastores/contract.js';
import { actingAsServer, currentActor } from './actor.js';
import { eventsOf, isRecorded } from './derive.js';
import type { EventRecord } from './model.js';

/** What rides along with a commit that is recorded: what the log has taken over, and how far it is. */
export interface Outbox {
  /** Rows of events that are in the log, on disk: the next batch removes them. */
  takeMoved(): readonly string[];
  /** They were not removed after all. */
  giveBack(keys: readonly string[]): void;
  /** The newest line that is on disk; its place is remembered in the datastore. */
  headWrite(): Write | undefined;
}

export interface RecordedStoreDeps {
  readonly store: Datastore;
  readonly outbox: Outbox;
  readonly clock: Clock;
  /** Keys of rows that are there already. */
  readonly rows: readonly string[];
}

const ATTEMPTS = 64;

/**
 * The datastore as the whole server sees it: every commit carries its own events, in the same batch, so that neither exists
 * without the other. What a record was before is made a condition, for an event must not tell of a change that was another.
 */
export function recordedStore({ store, outbox, clock, rows }: RecordedStoreDeps): Datastore {
  const nextKey = rowKeys(clock, rows);
  async function commit(writes: readonly Write[], conditions: readonly Condition[] = []): Promise<number> {
    const recorded = lastOfEach(writes.filter(({ kind }) => isRecorded(kind)));
    if (recorded.length === 0) return store.commit(writes, conditions);
    const by = currentActor();
    for (let attempt = 1; ; attempt += 1) {
      const seen = await Promise.all(recorded.map((write) => look(store, write)));
      const looked = seen.map(({ condition }) => condition);
      const own = looked.filter((one) => !isAmong(one, conditions));
      const events = seen.flatMap(({ write, before }) => eventsOf(write, before?.value));
      const row: EventRecord = { at: clock.now(), by, events };
      const moved = events.length === 0 ? [] : outbox.takeMoved();
      const extra = events.length === 0 ? [] : extraWrites(outbox, moved, nextKey(), row);
      try {
        return await store.commit([...writes, ...extra], [...conditions, ...looked]);
      } catch (error) {
        outbox.giveBack(moved);
        // Somebody else changed what was looked at, and the caller does not mind: look again.
        if (attempt < ATTEMPTS && hasCode(error, 'datastore_conflict') && isAmong(error.detail, own))
          continue;
        throw error;
      }
    }
  }
  return {
    get epoch() {
      return store.epoch;
    },
    get revision() {
      return store.revision;
    },
    get: (kind, key) => store.get(kind, key),
    list: (kind, page) => store.list(kind, page),
    commit,
    subscribe: (listener) => store.subscribe((change) => actingAsServer(() => listener(change))),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}

interface Seen {
  readonly write: Write;
  readonly before: Stored<unknown> | undefined;
  readonly condition: Condition;
}

async function look(store: Datastore, write: Write): Promise<Seen> {
  const { kind, key } = write;
  const before: Stored<unknown> | undefined = await store.get(kind, key);
  return { write, before, condition: { kind, key, revision: before?.revision ?? 0 } };
}

function extraWrites(outbox: Outbox, moved: readonly string[], key: string, row: EventRecord): Write[] {
  const head = outbox.headWrite();
  return [
    { kind: 'event', key, value: row },
    ...moved.map((done): Write => ({ kind: 'event', key: done, deleted: true })),
    ...(head === undefined ? [] : [head]),
  ];
}

/** Where a batch writes one record twice, the last one counts. */
function lastOfEach(writes: readonly Write[]): Write[] {
  return [...new Map(writes.map((write) => [`${write.kind}!${write.key}`, write])).values()];
}

function isAmong(
  { kind, key }: { readonly kind?: unknown; readonly key?: unknown },
  conditions: readonly Condition[],
): boolean {
  return conditions.some((condition) => condition.kind === kind && condition.key === key);
}

/** Above all that are there, wherever the clock went meanwhile. */
function rowKeys(clock: Clock, rows: readonly string[]): () => string {
  let last = rows.reduce((highest, key) => Math.max(highest, Number(key)), 0);
  return () => {
    last = Math.max(last + 1, clock.now() * 1000);
    return String(last).padStart(20, '0');
  };
}
