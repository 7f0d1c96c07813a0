/** decode -> verify -> decide -> publish: manifests become versions and heads, in one batch, or nothing happens. */
import { TouchmarkError } from '../../errors.js';
import type { MeasurementObject } from '../../measure/policy/model.js';
import { parseReference } from '../../measure/policy/reference.js';
import type { ObjectKind, Version } from '../../measure/policy/resolve.js';
import type { Condition, Datastore, Write } from '../datastores/contract.js';
import { serialLane } from '../datastores/serial-lane.js';
import { type Assignments, assign } from './assign.js';
import { checkBlastRadius } from './brake.js';
import { checkedVersions } from './checked.js';
import { headKey, objectKinds, type Policies, versionKey } from './contract.js';
import type { SimulateDeps } from './outcome.js';
import { changed, headsOf, namedBy, type Shelf } from './shelf.js';
import { type Simulation, simulate } from './simulate.js';

export interface PublisherDeps extends SimulateDeps {
  readonly store: Datastore;
  readonly policies: Pick<Policies, 'shelf'>;
  /** Percent of the good hosts that a publication may cost. */
  readonly blastRadius: number;
}

export interface PublishOptions {
  readonly by: string;
  /** Everything but the writing. */
  readonly dryRun: boolean;
  /** Percent in place of the configured share. */
  readonly allowWithdrawal?: number;
  readonly signal?: AbortSignal;
}

export interface ObjectChange {
  readonly kind: ObjectKind;
  readonly name: string;
  readonly change: 'created' | 'updated' | 'unchanged' | 'deleted';
  readonly hash: string;
  /** Empty: there was none. */
  readonly hashBefore: string;
}

export interface Published {
  readonly changes: readonly ObjectChange[];
  readonly impact: Simulation;
}

export interface Publisher {
  /**
   * @throws TouchmarkError what `checkManifest` and `resolvePolicy` throw; `object_repeated`; `blast_radius_exceeded`
   */
  apply(manifests: readonly unknown[], options: PublishOptions): Promise<Published>;
  /** @throws TouchmarkError `object_not_found`, `object_in_use`, `blast_radius_exceeded` */
  remove(kind: ObjectKind, name: string, options: PublishOptions): Promise<Published>;
  /** What the fleet would come to; says nothing about the brake. */
  simulate(manifests: readonly unknown[], signal?: AbortSignal): Promise<Published>;
}

/** What would be written, and what it would come to. */
interface Proposal {
  readonly changes: readonly ObjectChange[];
  /** Versions that the batch has to bring. */
  readonly put: readonly Version[];
  readonly shelf: Shelf;
}

/** One publication after the other: each is weighed against what is published by then. */
export function createPublisher(deps: PublisherDeps): Publisher {
  const lane = serialLane();
  // Beside publications, which must not wait for what somebody merely asks.
  const questions = serialLane();
  return {
    apply: (manifests, options) =>
      lane.run(async () => publish(deps, await propose(deps, manifests), options)),
    remove: (kind, name, options) =>
      lane.run(async () => publish(deps, proposeRemoval(deps, kind, name), options)),
    simulate: (manifests, signal) =>
      questions.run(async () => {
        const { changes, shelf } = await propose(deps, manifests);
        const { impact } = await weigh(deps, shelf, signal);
        return { changes, impact };
      }),
  };
}

async function publish(deps: PublisherDeps, proposal: Proposal, options: PublishOptions): Promise<Published> {
  const { changes, shelf } = proposal;
  const { impact, after, before } = await weigh(deps, shelf, options.signal);
  if (!options.dryRun) {
    checkBlastRadius(impact, options.allowWithdrawal ?? deps.blastRadius);
    await write(deps, proposal, newResolutions(before, after), options);
  }
  return { changes, impact };
}

async function weigh(deps: PublisherDeps, shelf: Shelf, signal?: AbortSignal) {
  const before = assign(deps.policies.shelf);
  const after = assign(shelf, before);
  return { before, after, impact: await simulate(deps, before, after, signal) };
}

async function propose({ store, policies }: PublisherDeps, manifests: readonly unknown[]): Promise<Proposal> {
  const versions = await checkedVersions(manifests);
  refuseRepeated(versions);
  const { shelf } = policies;
  const changes = versions.map(({ object, hash }) => changeOf(shelf, object, hash));
  const wanted = versions.filter((_, index) => changes[index]?.change !== 'unchanged');
  const pinned = await pinnedVersions(store, shelf, wanted);
  const { heads, versions: all } = changed(shelf, { put: wanted, remove: [] });
  const versionsThen = new Map(all);
  for (const { object, hash } of pinned) versionsThen.set(versionKey(object, hash), object);
  return { changes, put: [...wanted, ...pinned], shelf: { heads, versions: versionsThen } };
}

function changeOf(shelf: Shelf, object: MeasurementObject, hash: string): ObjectChange {
  const { kind, name } = object;
  const hashBefore = shelf.heads.get(headKey(object)) ?? '';
  const change = hashBefore === '' ? 'created' : hashBefore === hash ? 'unchanged' : 'updated';
  return { kind, name, change, hash, hashBefore };
}

function refuseRepeated(versions: readonly Version[]): void {
  const seen = new Set<string>();
  for (const { object } of versions) {
    const key = headKey(object);
    if (seen.has(key))
      throw new TouchmarkError('object_repeated', `${object.kind} ${object.name} is declared twice`);
    seen.add(key);
  }
}

/**
 * Older versions that the new ones name by their hash and that are not in memory: they travel in the batch, so that all
 * who follow the commits can resolve what it brings.
 */
async function pinnedVersions(
  store: Datastore,
  shelf: Shelf,
  wanted: readonly Version[],
): Promise<Version[]> {
  const found = new Map<string, Version>();
  const given = new Set(wanted.map(({ object, hash }) => versionKey(object, hash)));
  const open = wanted.flatMap(({ object }) => namedBy(object));
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { name, hash } = parseReference(next.text);
    if (hash === undefined) continue;
    const key = versionKey({ kind: next.kind, name }, hash);
    if (shelf.versions.has(key) || given.has(key) || found.has(key)) continue;
    const object = (await store.get('measure_object', key))?.value.object;
    if (object === undefined) continue;
    found.set(key, { object, hash });
    open.push(...namedBy(object));
  }
  return [...found.values()];
}

function proposeRemoval({ policies }: PublisherDeps, kind: ObjectKind, name: string): Proposal {
  const { shelf } = policies;
  const hashBefore = shelf.heads.get(headKey({ kind, name }));
  if (hashBefore === undefined) throw new TouchmarkError('object_not_found', `there is no ${kind} ${name}`);
  const users = objectKinds
    .flatMap((user) => headsOf(shelf, user))
    .filter(({ object }) => namedBy(object).some((named) => named.kind === kind && named.text === name))
    .map(({ object }) => `${object.kind} ${object.name}`);
  if (users.length > 0) {
    throw new TouchmarkError('object_in_use', `${kind} ${name} is named by ${users.slice(0, 10).join(', ')}`);
  }
  return {
    changes: [{ kind, name, change: 'deleted', hash: '', hashBefore }],
    put: [],
    shelf: changed(shelf, { put: [], remove: [{ kind, name }] }),
  };
}

function newResolutions(before: Assignments, after: Assignments): Assignments['groups'] {
  const known = new Set(before.groups.map(({ inForce }) => inForce.policy.id));
  return after.groups.filter(({ inForce }) => !known.has(inForce.policy.id));
}

/** Conditional on the heads being what was weighed. */
async function write(
  { store, clock }: PublisherDeps,
  { changes, put }: Proposal,
  resolutions: Assignments['groups'],
  { by }: PublishOptions,
): Promise<void> {
  const at = clock.now();
  const writes: Write[] = [];
  const conditions: Condition[] = [];
  for (const { kind, name, change, hash, hashBefore } of changes) {
    if (change === 'unchanged') continue;
    const key = headKey({ kind, name });
    const head = await store.get('measure_head', key);
    if ((head?.value.hash ?? '') !== hashBefore) {
      throw new TouchmarkError('write_contended', `${kind} ${name} was changed meanwhile`);
    }
    conditions.push({ kind: 'measure_head', key, revision: head?.revision ?? 0 });
    if (change === 'deleted') writes.push({ kind: 'measure_head', key, deleted: true });
    else writes.push({ kind: 'measure_head', key, value: { hash, at, by } });
  }
  for (const { object, hash } of put) {
    const key = versionKey(object, hash);
    const kept = (await store.get('measure_object', key))?.value;
    const value = kept ?? { object, hash, createdAt: at, createdBy: by };
    writes.unshift({ kind: 'measure_object', key, value });
  }
  for (const { inForce, resolution } of resolutions) {
    writes.push({ kind: 'measure_resolution', key: inForce.policy.id, value: { resolution, at } });
  }
  if (writes.length > 0) await store.commit(writes, conditions);
}
