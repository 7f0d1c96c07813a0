/** What is done to hosts that are known: name and labels, state, forgetting; and the list of all. */
import { TouchmarkError } from '../../errors.js';
import { commitPlan } from '../commit.js';
import type { Stored, Write } from '../datastores/contract.js';
import type { Host } from '../model.js';
import { type Batch, hostBatch, joinBatches } from './change.js';
import type { HostSetting, HostsContext } from './contract.js';
import { type Found, findEnrolled, findHost } from './find.js';
import { claimName } from './name-claim.js';
import { checkHostName, checkLabels, type Labels } from './names.js';
import { tpmNodeId } from './selectors.js';
import { type HostChange, transition } from './state.js';

export async function listHosts(context: HostsContext): Promise<Found[]> {
  const all: Found[] = [];
  for (const host of context.registry.hosts()) all.push({ kind: 'host', id: host.id, host });
  for (const [id, allowed] of await context.allowed.all()) {
    if (context.registry.hostByEk(id) === undefined) all.push({ kind: 'allowed', id, allowed });
  }
  const known = new Set(all.map(({ id }) => id));
  for (const pending of context.queue.waiting()) {
    if (!known.has(pending.id)) all.push({ kind: 'pending', id: pending.id, pending });
  }
  return all.sort((a, b) => (a.id < b.id ? -1 : 1));
}

export async function setHost(
  context: HostsContext,
  reference: string,
  change: HostSetting,
  by: string,
): Promise<Found> {
  const { id } = await findHost(context, reference);
  const merge = <T extends { name: string; labels: Labels }>(before: T): T => {
    const kept = Object.entries(before.labels).filter(([key]) => !change.removeLabels.includes(key));
    const labels = checkLabels({ ...Object.fromEntries(kept), ...change.labels });
    return { ...before, name: checkHostName(change.name ?? before.name), labels };
  };
  await commitPlan(context.store, async () => {
    const host = await context.store.get('host', id);
    if (host !== undefined) {
      const after = merge(host.value);
      const claim = await claimName(context.store, { id, before: host.value.name, after: after.name });
      return planOf(joinBatches(await hostBatch(context, host, after), claim));
    }
    const allowed = await context.store.get('allowed_ek', id);
    if (allowed === undefined)
      throw new TouchmarkError('host_unknown', `host ${id} has not been approved yet`);
    const value = merge(allowed.value);
    const claim = await claimName(context.store, { id, before: allowed.value.name, after: value.name });
    const batch: Batch = {
      writes: [{ kind: 'allowed_ek', key: id, value }],
      conditions: [{ kind: 'allowed_ek', key: id, revision: allowed.revision }],
    };
    return planOf(joinBatches(batch, claim));
  });
  context.onEvent({ name: 'host_changed', hostId: id, change: 'set', by });
  return findHost(context, id);
}

export async function changeState(
  context: HostsContext,
  reference: string,
  change: HostChange,
  by: string,
): Promise<Found> {
  const after = await commitPlan(context.store, async () => {
    const before = await findEnrolled(context, reference);
    const result = transition(before.value, change, context.clock.now());
    return { ...(await stateBatch(context, before, result, change)), result };
  });
  context.onEvent({ name: 'host_changed', hostId: after.id, change: change.kind, by });
  return { kind: 'host', id: after.id, host: after };
}

/** A ban and its end reach the node too; a retired host loses its node. */
async function stateBatch(
  context: HostsContext,
  before: Stored<Host>,
  after: Host,
  change: HostChange,
): Promise<Batch> {
  if (change.kind === 'banned') {
    return hostBatch(context, before, after, (node) => ({
      ...node,
      banned: true,
      serial: '',
      nextSerial: '',
    }));
  }
  if (change.kind === 'released')
    return hostBatch(context, before, after, (node) => ({ ...node, banned: false }));
  const batch = await hostBatch(context, before, after);
  return change.kind === 'retired' ? { ...batch, writes: batch.writes.map(evicted) } : batch;
}

export function evicted(write: Write): Write {
  return write.kind === 'node' ? { kind: 'node', key: write.key, deleted: true } : write;
}

export async function forgetHost(context: HostsContext, reference: string, by: string): Promise<void> {
  const id = await commitPlan(context.store, async () => {
    const found = await findHost(context, reference);
    if (found.kind === 'host') return { ...(await forgetBatch(context, found.id)), result: found.id };
    const batch = found.kind === 'allowed' ? await disallowBatch(context, found.id) : nothing;
    return { ...batch, result: found.id };
  });
  context.queue.remove(id);
  context.onEvent({ name: 'host_changed', hostId: id, change: 'forgotten', by });
}

const nothing: Batch = { writes: [], conditions: [] };

/** Takes back an allowance, unless a host came of it meanwhile. */
export async function disallowBatch({ store }: HostsContext, key: string): Promise<Batch> {
  const allowed = await store.get('allowed_ek', key);
  if (allowed === undefined) return nothing;
  const claim = await claimName(store, { id: key, before: allowed.value.name, after: '' });
  const { revision } = allowed;
  const batch: Batch = {
    writes: [{ kind: 'allowed_ek', key, deleted: true }],
    conditions: [{ kind: 'allowed_ek', key, revision }],
  };
  return joinBatches(batch, claim);
}

async function forgetBatch(context: HostsContext, hostId: string): Promise<Batch> {
  const host = await findEnrolled(context, hostId);
  if (host.value.state === 'banned') {
    throw new TouchmarkError(
      'host_state_conflict',
      `host ${hostId} is banned: once forgotten, it could enrol again`,
    );
  }
  const batch = await hostBatch(context, host, host.value);
  const claim = await claimName(context.store, { id: hostId, before: host.value.name, after: '' });
  const keys = host.value.eks.map((ek) => ek.hash);
  return {
    writes: [
      { kind: 'host', key: hostId, deleted: true },
      ...keys.map((key): Write => ({ kind: 'host_ek', key, deleted: true })),
      ...keys.map((key): Write => ({ kind: 'allowed_ek', key, deleted: true })),
      { kind: 'node', key: tpmNodeId(context.trustDomain, hostId), deleted: true },
      ...claim.writes,
    ],
    conditions: [...batch.conditions, ...claim.conditions],
  };
}

function planOf(batch: Batch): Batch & { result: undefined } {
  return { ...batch, result: undefined };
}
