import { randomUUID } from 'node:crypto';
import { type Clock, unixSeconds } from '../../clock.js';
import { messageOf, TouchmarkError } from '../../errors.js';
import { checkEntry } from '../../spiffe/check-entry.js';
import { type Entry, entryUniqueKey } from '../../spiffe/entry.js';
import type { TrustDomain } from '../../spiffe/id.js';
import { commitPlan, type Plan } from '../commit.js';
import type { Condition, Datastore, Stored, Write } from '../datastores/contract.js';

/** An entry as an operator writes it: the server fills in the rest. An empty id has one drawn. */
export type EntryDraft = Omit<Entry, 'revisionNumber' | 'createdAt'>;

/** What happened to one item of a batch. An error may come with the entry that was in the way. */
export interface EntryOutcome {
  readonly entry?: Entry;
  readonly error?: TouchmarkError;
}

/** One item of a batch: what is wanted, or why it could not even be read. */
export type Item<T> = T | TouchmarkError;

export interface EntryUpdate {
  readonly id: string;
  /** The entry as it is to be, made from the one that is stored. */
  readonly change: (before: Entry) => EntryDraft;
}

export interface EntryDeps {
  readonly store: Datastore;
  readonly clock: Clock;
  readonly trustDomain: TrustDomain;
  /** @throws TouchmarkError when an entry that is formally right may not be made here */
  readonly admit: (entry: Entry) => void;
}

/** Registration entries, changed in batches: one commit for each batch, an outcome for each item, in order. */
export interface Entries {
  create(items: readonly Item<EntryDraft>[]): Promise<EntryOutcome[]>;
  update(items: readonly Item<EntryUpdate>[]): Promise<EntryOutcome[]>;
  remove(ids: readonly string[]): Promise<EntryOutcome[]>;
  /** Removes those that have ended at `now` (Unix seconds); one that was given a later end meanwhile stays. */
  removeEnded(ids: readonly string[], now: number): Promise<EntryOutcome[]>;
}

export function createEntries(deps: EntryDeps): Entries {
  return {
    create: (items) => runBatch(deps, items, planCreate),
    update: (items) => runBatch(deps, items, planUpdate),
    remove: (ids) => runBatch(deps, ids, planRemove),
    removeEnded: (ids, now) => runBatch(deps, ids, (batch, id) => planRemoveEnded(batch, id, now)),
  };
}

/** What a batch has decided so far; later items see what earlier ones do. */
interface Batch {
  readonly deps: EntryDeps;
  readonly writes: Write[];
  readonly conditions: Map<string, Condition>;
  /** Entries that this batch writes, by id; undefined when it deletes them. */
  readonly entries: Map<string, Entry | undefined>;
  readonly uniqueKeys: Map<string, string | undefined>;
}

type Planner<T> = (batch: Batch, item: T) => Promise<EntryOutcome>;

async function runBatch<T>(
  deps: EntryDeps,
  items: readonly Item<T>[],
  planner: Planner<T>,
): Promise<EntryOutcome[]> {
  let planned: EntryOutcome[] = [];
  try {
    return await commitPlan(deps.store, async () => {
      const plan = await planBatch(deps, items, planner);
      planned = plan.result as EntryOutcome[];
      return plan;
    });
  } catch (error) {
    // Nothing was written: what was going to succeed did not, and what was refused stays refused.
    const failure = error instanceof TouchmarkError ? error : wrap(error);
    return items.map((_, index) =>
      planned[index]?.error === undefined ? { error: failure } : planned[index],
    );
  }
}

async function planBatch<T>(
  deps: EntryDeps,
  items: readonly Item<T>[],
  planner: Planner<T>,
): Promise<Plan<EntryOutcome[]>> {
  const batch: Batch = { deps, writes: [], conditions: new Map(), entries: new Map(), uniqueKeys: new Map() };
  const result: EntryOutcome[] = [];
  for (const item of items) result.push(await planItem(batch, item, planner));
  return { writes: batch.writes, conditions: [...batch.conditions.values()], result };
}

async function planItem<T>(batch: Batch, item: Item<T>, planner: Planner<T>): Promise<EntryOutcome> {
  if (item instanceof TouchmarkError) return { error: item };
  try {
    return await planner(batch, item);
  } catch (error) {
    if (error instanceof TouchmarkError) return { error };
    throw error;
  }
}

async function planCreate(batch: Batch, draft: EntryDraft): Promise<EntryOutcome> {
  const { deps } = batch;
  const id = draft.id === '' ? randomUUID() : draft.id;
  const entry = await checked(batch, { ...draft, id, revisionNumber: 0, createdAt: unixSeconds(deps.clock) });
  const owner = await ownerOf(batch, entryUniqueKey(entry));
  const inTheWay = owner === undefined ? await readEntry(batch, id) : await readEntry(batch, owner);
  if (inTheWay !== undefined) return { entry: inTheWay, error: exists(inTheWay) };
  write(batch, undefined, entry);
  return { entry };
}

async function planUpdate(batch: Batch, { id, change }: EntryUpdate): Promise<EntryOutcome> {
  const before = await readEntry(batch, id);
  if (before === undefined) throw notFound(id);
  const { revisionNumber, createdAt } = before;
  const entry = await checked(batch, {
    ...change(before),
    id,
    revisionNumber: revisionNumber + 1,
    createdAt,
  });
  const owner = await ownerOf(batch, entryUniqueKey(entry));
  if (owner !== undefined && owner !== id) {
    const other = await readEntry(batch, owner);
    return { ...(other === undefined ? {} : { entry: other }), error: exists(other ?? entry) };
  }
  write(batch, before, entry);
  return { entry };
}

async function planRemove(batch: Batch, id: string): Promise<EntryOutcome> {
  if (id === '') throw new TouchmarkError('argument_invalid', 'id is empty');
  const before = await readEntry(batch, id);
  if (before === undefined) throw notFound(id);
  write(batch, before, undefined);
  return { entry: before };
}

async function planRemoveEnded(batch: Batch, id: string, now: number): Promise<EntryOutcome> {
  const entry = await readEntry(batch, id);
  if (entry === undefined) throw notFound(id);
  if (entry.expiresAt > 0 && entry.expiresAt <= now) write(batch, entry, undefined);
  return { entry };
}

/** The entry in canonical form, if it may be made here. */
async function checked(batch: Batch, wanted: Entry): Promise<Entry> {
  const entry = checkEntry(wanted, batch.deps.trustDomain);
  batch.deps.admit(entry);
  for (const domain of entry.federatesWith) {
    const bundle = await remember(batch, await batch.deps.store.get('bundle', domain), 'bundle', domain);
    if (bundle === undefined) {
      throw new TouchmarkError(
        'bundle_missing',
        `federates_with names ${domain}, whose bundle is not known here`,
      );
    }
  }
  return entry;
}

/** The id that holds a unique key; what was read becomes a condition of the commit. */
async function ownerOf(batch: Batch, key: string): Promise<string | undefined> {
  if (batch.uniqueKeys.has(key)) return batch.uniqueKeys.get(key);
  const stored = await remember(batch, await batch.deps.store.get('entry_key', key), 'entry_key', key);
  return stored?.id;
}

async function readEntry(batch: Batch, id: string): Promise<Entry | undefined> {
  if (batch.entries.has(id)) return batch.entries.get(id);
  return remember(batch, await batch.deps.store.get('entry', id), 'entry', id);
}

function remember<V>(
  batch: Batch,
  stored: Stored<V> | undefined,
  kind: Condition['kind'],
  key: string,
): V | undefined {
  batch.conditions.set(`${kind} ${key}`, { kind, key, revision: stored?.revision ?? 0 });
  return stored?.value;
}

function write(batch: Batch, before: Entry | undefined, after: Entry | undefined): void {
  const oldKey = before === undefined ? undefined : entryUniqueKey(before);
  const newKey = after === undefined ? undefined : entryUniqueKey(after);
  const id = (after ?? before)?.id ?? '';
  if (oldKey !== undefined && oldKey !== newKey) {
    batch.writes.push({ kind: 'entry_key', key: oldKey, deleted: true });
    batch.uniqueKeys.set(oldKey, undefined);
  }
  if (newKey !== undefined) {
    if (newKey !== oldKey) batch.writes.push({ kind: 'entry_key', key: newKey, value: { id } });
    batch.uniqueKeys.set(newKey, id);
  }
  batch.writes.push(
    after === undefined
      ? { kind: 'entry', key: id, deleted: true }
      : { kind: 'entry', key: id, value: after },
  );
  batch.entries.set(id, after);
  for (const domain of after?.federatesWith ?? []) {
    if (before?.federatesWith.includes(domain) !== true) markFederation(batch, domain);
  }
}

/** A bundle is deleted under the condition that nobody began to federate with it meanwhile: this is what that looks at. */
function markFederation(batch: Batch, domain: TrustDomain): void {
  const key = federationMark(domain);
  if (batch.writes.some((one) => one.kind === 'meta' && one.key === key)) return;
  batch.writes.push({ kind: 'meta', key, value: { value: String(batch.deps.clock.now()) } });
}

export function federationMark(domain: TrustDomain): string {
  return `federates-with/${domain}`;
}

function exists(entry: Entry): TouchmarkError {
  const message = `entry ${entry.id} has this id, or the same SPIFFE ID, parent and selectors`;
  return new TouchmarkError('entry_exists', message);
}

function notFound(id: string): TouchmarkError {
  return new TouchmarkError('entry_not_found', `there is no entry ${JSON.stringify(id.slice(0, 255))}`);
}

function wrap(error: unknown): TouchmarkError {
  return new TouchmarkError('datastore_failed', messageOf(error), { cause: error });
}
