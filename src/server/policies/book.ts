import type { Clock } from '../../clock.js';
import { messageOf } from '../../errors.js';
import type { Logger } from '../../log.js';
import type { MeasurementObject, ResolvedPolicy } from '../../measure/policy/model.js';
import { parseReference } from '../../measure/policy/reference.js';
import { type ObjectKind, type Resolution, restorePolicy } from '../../measure/policy/resolve.js';
import type { Commit, Datastore, Kind, Records } from '../datastores/contract.js';
import { listeners } from '../datastores/listeners.js';
import { type Assignments, assign, nextBoundary, sameAssignments } from './assign.js';
import { type Policies, versionKey } from './contract.js';
import { emptyShelf, lookupIn, namedBy, pruned, type Shelf } from './shelf.js';

export interface BookDeps {
  readonly store: Datastore;
  readonly clock: Clock;
  readonly log: Logger;
}

interface State {
  shelf: Shelf;
  assignments: Assignments;
}

/**
 * Reads what is published and follows its commits: when a commit resolves, the book has it. Dispose of it before the store.
 * @throws TouchmarkError `reference_missing`, `reference_cycle` when the store holds what was never let in
 */
export async function openPolicies({ store, clock, log }: BookDeps): Promise<Policies> {
  const changes = listeners<void>();
  const state: State = { shelf: emptyShelf, assignments: assign(emptyShelf) };
  const meanwhile: Commit[] = [];
  let take = (commit: Commit) => void meanwhile.push(commit);
  const stop = store.subscribe((commit) => take(commit));
  state.shelf = await load(store);
  for (const commit of meanwhile) state.shelf = withCommit(state.shelf, commit);
  state.assignments = assign(state.shelf);
  const timer = boundaryTimer(clock, () => state.assignments, changes.tell);
  take = (commit) => {
    const shelf = withCommit(state.shelf, commit);
    if (shelf === state.shelf) return;
    const before = state.assignments;
    state.shelf = shelf;
    state.assignments = reassigned(shelf, before, log);
    if (sameAssignments(before, state.assignments)) return;
    timer.plan();
    changes.tell();
  };
  return {
    get shelf() {
      return state.shelf;
    },
    policyFor: remembering(() => state.assignments),
    resolved: (policyId) => resolved(store, () => state.assignments, policyId),
    onChange: changes.add,
    [Symbol.dispose]() {
      stop();
      timer.cancel();
    },
  };
}

/** What cannot be resolved was refused before it was written; should it come from elsewhere, the last good word stays. */
function reassigned(shelf: Shelf, before: Assignments, log: Logger): Assignments {
  try {
    return assign(shelf, before);
  } catch (error) {
    log.error('published policies cannot be resolved; those before stay in force', {
      error: messageOf(error),
    });
    return before;
  }
}

/** Labels objects are never changed, so the answer for one holds until the assignments are others. */
function remembering(now: () => Assignments): Policies['policyFor'] {
  let of: Assignments | undefined;
  let known = new WeakMap<object, ReturnType<Policies['policyFor']>>();
  return ({ labels }) => {
    const assignments = now();
    if (of !== assignments) known = new WeakMap();
    of = assignments;
    if (!known.has(labels)) known.set(labels, assignments.policyFor(labels));
    return known.get(labels);
  };
}

/** One timer, at the next window that begins or ends. */
function boundaryTimer(clock: Clock, now: () => Assignments, tell: () => void) {
  let cancel = () => {};
  const plan = () => {
    cancel();
    const at = nextBoundary(now(), clock.now());
    cancel = Number.isFinite(at) ? clock.after(at - clock.now(), passed) : () => {};
  };
  const passed = () => {
    plan();
    tell();
  };
  plan();
  return { plan, cancel: () => cancel() };
}

function withCommit(shelf: Shelf, { writes }: Commit): Shelf {
  const heads = new Map(shelf.heads);
  const versions = new Map(shelf.versions);
  let touched = false;
  for (const write of writes) {
    if (write.kind === 'measure_object' && !('deleted' in write)) versions.set(write.key, write.value.object);
    if (write.kind !== 'measure_head') continue;
    touched = true;
    if ('deleted' in write) heads.delete(write.key);
    else heads.set(write.key, write.value.hash);
  }
  return touched ? pruned({ heads, versions }) : shelf;
}

async function load(store: Datastore): Promise<Shelf> {
  const heads = new Map<string, string>();
  const versions = new Map<string, MeasurementObject>();
  for await (const { key, value } of all(store, 'measure_head')) heads.set(key, value.hash);
  const wanted = [...heads].map(([key, hash]) => `${key}/${hash}`);
  for (let key = wanted.pop(); key !== undefined; key = wanted.pop()) {
    if (versions.has(key)) continue;
    const found = (await store.get('measure_object', key))?.value.object;
    if (found === undefined) continue;
    versions.set(key, found);
    for (const { kind, text } of namedBy(found)) {
      const { name, hash } = parseReference(text);
      if (hash !== undefined) wanted.push(versionKey({ kind, name }, hash));
    }
  }
  return { heads, versions };
}

async function* all<K extends Kind>(
  store: Datastore,
  kind: K,
): AsyncGenerator<{ key: string; value: Records[K] }> {
  const limit = 500;
  for (let after: string | undefined = ''; after !== undefined; ) {
    const page: { key: string; value: Records[K] }[] = await store.list(kind, { after, limit });
    yield* page;
    after = page.length < limit ? undefined : page.at(-1)?.key;
  }
}

/** From memory when it is in force, else from the versions that are kept. */
async function resolved(
  store: Datastore,
  now: () => Assignments,
  policyId: string,
): Promise<ResolvedPolicy | undefined> {
  const current = now().groups.find(({ inForce }) => inForce.policy.id === policyId)?.inForce.policy;
  if (current !== undefined) return current;
  const record = await store.get('measure_resolution', policyId);
  return record === undefined ? undefined : restore(store, record.value.resolution);
}

async function restore(store: Datastore, resolution: Resolution): Promise<ResolvedPolicy> {
  const versions = new Map<string, MeasurementObject>();
  const fetch = async (kind: ObjectKind, text: string) => {
    const { name, hash = '' } = parseReference(text);
    const key = versionKey({ kind, name }, hash);
    const found = (await store.get('measure_object', key))?.value.object;
    if (found !== undefined) versions.set(key, found);
  };
  await fetch('MeasurementPolicy', resolution.policy);
  for (const text of [...resolution.references, ...resolution.next.flat()]) await fetch('ReferenceSet', text);
  return restorePolicy(resolution, lookupIn({ heads: new Map(), versions }));
}
