import { create } from '@bufbuild/protobuf';
import { TouchmarkError } from '../../errors.js';
import { toManifest } from '../../measure/policy/check.js';
import { NAME_PATTERN } from '../../measure/policy/reference.js';
import type { ObjectKind, Version } from '../../measure/policy/resolve.js';
import {
  type ApplyObjectsRequest,
  ApplyObjectsResponseSchema,
  DeleteObjectResponseSchema,
  type GetObjectRequest,
  ListObjectsResponseSchema,
  type Measurement,
  type MeasureObject,
  MeasureObjectSchema,
  type ReferenceFromHostsRequest,
  ReferenceFromHostsResponseSchema,
  SimulateResponseSchema,
  ObjectKind as WireKind,
} from '../../wire/gen/touchmark/measure/v1/measure_pb.js';
import type { Registry } from '../contract.js';
import type { Datastore } from '../datastores/contract.js';
import type { HostState, MeasureObjectRecord } from '../model.js';
import { headKey, objectKinds, type Policies } from '../policies/contract.js';
import type { Harvester } from '../policies/harvest.js';
import { keptVersion, keptVersions } from '../policies/kept.js';
import type { Publisher, PublishOptions } from '../policies/publish.js';
import { headsOf, namedBy } from '../policies/shelf.js';
import { wireStates } from '../sessions/verdict.js';
import { byWhom } from './agent.js';
import {
  changeToWire,
  impactToWire,
  jsonBytes,
  kindFromWire,
  manifestsFromPieces,
  nameFromWire,
  percentFromWire,
  pieces,
  summaryOf,
  wireKinds,
} from './measurement-wire.js';
import type { ApiCall, ApiService } from './service.js';

export interface MeasurementApiDeps {
  readonly store: Datastore;
  readonly registry: Registry;
  readonly policies: Policies;
  readonly publisher: Publisher;
  readonly harvest: Harvester;
  readonly blastRadius: number;
}

type Methods = ApiService<typeof Measurement>;

/** `touchmark.measure.v1.Measurement`: what security engineers do. */
export function measurementService(deps: MeasurementApiDeps): Methods {
  return { ...publishingMethods(deps), ...readingMethods(deps) };
}

/** What would change, or changes, what is in force. */
function publishingMethods({
  publisher,
  blastRadius,
}: MeasurementApiDeps): Pick<Methods, 'applyObjects' | 'simulate' | 'deleteObject'> {
  return {
    async *applyObjects(requests, call) {
      const { first, manifests } = await readApply(requests);
      const { dryRun, allowWithdrawalPercent } = first;
      const options = publishOptions(call, dryRun, allowWithdrawalPercent);
      const { changes, impact } = await publisher.apply(manifests, options);
      const done = changes.map(({ kind, name, change }) => `${kind} ${name} ${change}`);
      tell(call, done, options, impact.lost.length);
      yield create(ApplyObjectsResponseSchema, {
        changes: changes.map(changeToWire),
        impact: impactToWire(impact, options.allowWithdrawal ?? blastRadius),
      });
    },
    async *simulate(requests, call) {
      const manifests = await manifestsFromPieces(mapped(requests, (request) => request.manifests));
      const { changes, impact } = await publisher.simulate(manifests, call.signal);
      const wire = { changes: changes.map(changeToWire), impact: impactToWire(impact, blastRadius) };
      yield create(SimulateResponseSchema, wire);
    },
    async deleteObject(request, call) {
      const kind = kindFromWire(request.kind);
      const name = nameFromWire(request.name);
      const options = publishOptions(call, request.dryRun, request.allowWithdrawalPercent);
      const { impact } = await publisher.remove(kind, name, options);
      tell(call, [`${kind} ${name} deleted`], options, impact.lost.length);
      const percent = options.allowWithdrawal ?? blastRadius;
      return create(DeleteObjectResponseSchema, { impact: impactToWire(impact, percent) });
    },
  };
}

function readingMethods(
  deps: MeasurementApiDeps,
): Pick<Methods, 'listObjects' | 'listVersions' | 'getObject' | 'referenceFromHosts'> {
  return {
    listObjects: async ({ kind }) => {
      const kinds = kind === WireKind.UNSPECIFIED ? objectKinds : [kindFromWire(kind)];
      return create(ListObjectsResponseSchema, { objects: await listed(deps, kinds) });
    },
    listVersions: async (request) =>
      create(ListObjectsResponseSchema, { objects: await versions(deps, request) }),
    async *getObject(request) {
      const { object, wire } = await found(deps, request);
      let first = true;
      for (const manifest of pieces(jsonBytes(toManifest(object)))) {
        yield create(MeasureObjectSchema, first ? { ...wire, manifest } : { manifest });
        first = false;
      }
    },
    async *referenceFromHosts(request, call) {
      const made = await deps.harvest(harvestRequest(request), call.signal);
      let first = true;
      for (const manifest of pieces(made.manifest)) {
        const rest = first ? { hosts: [...made.hosts], notes: [...made.notes] } : {};
        yield create(ReferenceFromHostsResponseSchema, { manifest, ...rest });
        first = false;
      }
    },
  };
}

async function readApply(requests: AsyncIterable<ApplyObjectsRequest>) {
  let first: Pick<ApplyObjectsRequest, 'dryRun' | 'allowWithdrawalPercent'> | undefined;
  const pieces = mapped(requests, (request) => {
    first ??= request;
    return request.manifests;
  });
  const manifests = await manifestsFromPieces(pieces);
  return { first: first ?? { dryRun: false }, manifests };
}

async function* mapped<T, U>(source: AsyncIterable<T>, map: (item: T) => U): AsyncGenerator<U> {
  for await (const item of source) yield map(item);
}

function publishOptions(call: ApiCall, dryRun: boolean, percent: number | undefined): PublishOptions {
  return { by: byWhom(call), dryRun, signal: call.signal, ...percentFromWire(percent) };
}

/** What was done, and by whose leave more hosts than the share. */
function tell(call: ApiCall, objects: readonly string[], options: PublishOptions, lost: number): void {
  const { allowWithdrawal, dryRun } = options;
  call.audit({
    objects,
    ...(dryRun ? { dry_run: 1 } : { hosts_lost: lost }),
    ...(allowWithdrawal === undefined ? {} : { allowed_withdrawal: allowWithdrawal }),
  });
}

async function listed({ store, policies, registry }: MeasurementApiDeps, kinds: readonly ObjectKind[]) {
  const hosts = hostCounts({ policies, registry });
  const users = usersOf(policies);
  const objects: MeasureObject[] = [];
  for (const { object, hash } of kinds.flatMap((kind): Version[] => headsOf(policies.shelf, kind))) {
    const key = headKey(object);
    const head = (await store.get('measure_head', key))?.value;
    objects.push(
      create(MeasureObjectSchema, {
        kind: wireKinds[object.kind],
        name: object.name,
        hash,
        description: object.description,
        publishedAt: seconds(head?.at),
        publishedBy: head?.by ?? '',
        usedBy: users.get(key) ?? [],
        hosts: hosts.get(key) ?? 0,
        summary: summaryOf(object),
      }),
    );
  }
  return objects;
}

async function found(deps: MeasurementApiDeps, request: GetObjectRequest) {
  const kind = kindFromWire(request.kind);
  const name = nameFromWire(request.name);
  const [listing] = (await listed(deps, [kind])).filter((object) => object.name === name);
  const wanted = request.hash === '' ? (listing?.hash ?? '') : request.hash;
  const record = await keptVersion(deps.store, { kind, name }, wanted);
  if (record === undefined) {
    const which = request.hash === '' ? '' : ` of the hash ${wanted.slice(0, 64)}`;
    throw new TouchmarkError('object_not_found', `there is no ${kind} ${name}${which}`);
  }
  return { object: record.object, wire: versionToWire(record, listing) };
}

/** @param listing of the version in force: what is said of it, if it is this one */
function versionToWire(
  { object, hash, createdAt, createdBy }: MeasureObjectRecord,
  listing: MeasureObject | undefined,
) {
  const { kind, name, description } = object;
  const inForce = listing?.hash === hash ? listing : { kind: wireKinds[kind], name };
  const { $typeName: _, ...fields } = create(MeasureObjectSchema, inForce);
  const about = { hash, description, summary: summaryOf(object), createdAt: seconds(createdAt), createdBy };
  return { ...fields, ...about };
}

/** Newest first. @throws TouchmarkError `object_not_found` */
async function versions(deps: MeasurementApiDeps, request: Pick<GetObjectRequest, 'kind' | 'name'>) {
  const kind = kindFromWire(request.kind);
  const name = nameFromWire(request.name);
  const [listing] = (await listed(deps, [kind])).filter((object) => object.name === name);
  const kept: MeasureObject[] = [];
  for await (const version of keptVersions(deps.store, { kind, name })) {
    kept.push(create(MeasureObjectSchema, versionToWire(version, listing)));
  }
  if (kept.length === 0) throw new TouchmarkError('object_not_found', `there is no ${kind} ${name}`);
  return kept.sort((a, b) => Number(b.createdAt - a.createdAt));
}

/** By head key: hosts that a group, or a policy by any group, judges. */
function hostCounts({
  policies,
  registry,
}: Pick<MeasurementApiDeps, 'policies' | 'registry'>): Map<string, number> {
  const counts = new Map<string, number>();
  const count = (key: string) => counts.set(key, (counts.get(key) ?? 0) + 1);
  for (const host of registry.hosts()) {
    const inForce = policies.policyFor(host);
    if (inForce === undefined) continue;
    count(headKey(inForce.group));
    count(headKey(inForce.policy.policy));
  }
  return counts;
}

function usersOf({ shelf }: Policies): Map<string, string[]> {
  const users = new Map<string, string[]>();
  for (const { object } of objectKinds.flatMap((kind): Version[] => headsOf(shelf, kind))) {
    for (const { kind, text } of namedBy(object)) {
      const key = headKey({ kind, name: text.split('@')[0] ?? '' });
      users.set(key, [...(users.get(key) ?? []), `${object.kind} ${object.name}`]);
    }
  }
  return users;
}

function harvestRequest({ labels, states, name, shownByAtLeast }: ReferenceFromHostsRequest) {
  if (!new RegExp(NAME_PATTERN).test(name)) {
    throw new TouchmarkError(
      'argument_invalid',
      `${JSON.stringify(name.slice(0, 80))} cannot be the name of a set`,
    );
  }
  const named = (Object.keys(wireStates) as HostState[]).filter((state) =>
    states.includes(wireStates[state]),
  );
  return { name, labels, states: named, shownByAtLeast };
}

function seconds(milliseconds: number | undefined): bigint {
  return BigInt(Math.floor((milliseconds ?? 0) / 1000));
}
