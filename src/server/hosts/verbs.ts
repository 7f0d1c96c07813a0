/** What is done to hosts that are known: name and labels, state, forgetting; and the list of all. */
import { TouchmarkError } from '../../errors.js';
import { commitPlan } from '../commit.js';
import type { Stored, Write } from '../datastores/contract.js';
import type { Host } from '../model.js';
import { type Batch, hostBatch } from './change.js';
import type { HostSetting, HostsContext } from './contract.js';
import { checkNameFree, type Found, findEnrolled, findHost } from './find.js';
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
  if (change.name !== undefined) await checkNameFree(context, checkHostName(change.name), [id]);
  await commitPlan(context.store, async () => {
    const host = await context.store.get('host', id);
    if (host !== undefined) return planOf(await hostBatch(context, host, merge(host.value)));
    const allowed = await context.store.get('allowed_ek', id);
    if (allowed === undefined)
      throw new TouchmarkError('host_unknown', `host ${id} has not been approved yet`);
    return {
      writes: [{ kind: 'allowed_ek', key: id, value: merge(allowed.value) }],
      conditions: [{ kind: 'allowed_ek', key: id, revision: allowed.revision }],
      result: undefined,
    };
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
  const found = await findHost(context, reference);
  context.queue.remove(found.id);
  if (found.kind === 'allowed') {
    await context.store.commit([{ kind: 'allowed_ek', key: found.id, deleted: true }]);
  }
  if (found.kind === 'host')
    await commitPlan(context.store, async () => planOf(await forgetBatch(context, found.id)));
  context.onEvent({ name: 'host_changed', hostId: found.id, change: 'forgotten', by });
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
  const keys = host.value.eks.map((ek) => ek.hash);
  return {
    writes: [
      { kind: 'host', key: hostId, deleted: true },
      ...keys.map((key): Write => ({ kind: 'host_ek', key, deleted: true })),
      ...keys.map((key): Write => ({ kind: 'allowed_ek', key, deleted: true })),
      { kind: 'node', key: tpmNodeId(context.trustDomain, hostId), deleted: true },
    ],
    conditions: batch.conditions,
  };
}

function planOf(batch: Batch): Batch & { result: undefined } {
  return { ...batch, result: undefined };
}
