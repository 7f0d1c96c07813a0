import { TouchmarkError } from '../../errors.js';
import { type Entry, entryUniqueKey } from '../../spiffe/entry.js';
import type { SpiffeId } from '../../spiffe/id.js';
import { commitPlan } from '../commit.js';
import type { Condition, Stored, Write } from '../datastores/contract.js';
import type { AllowedEk, Host } from '../model.js';
import { type Batch, hostBatch, joinBatches } from './change.js';
import type { HostsContext } from './contract.js';
import { type Found, findEnrolled, findHost } from './find.js';
import { claimName } from './name-claim.js';
import { tpmNodeId } from './selectors.js';
import { transition } from './state.js';
import { evicted } from './verbs.js';

type Heirloom = Pick<Host, 'name' | 'labels'>;

/**
 * A broken chip's successor takes over name, labels and every entry whose parent was the old node: all in one batch, so
 * that no entry is ever parented to neither. The old host is retired, its node evicted. A successor that waits is
 * approved by this; one that never called must have been allowed.
 * @throws TouchmarkError `host_unknown`, `host_state_conflict`
 */
export async function replaceHost(
  context: HostsContext,
  oldReference: string,
  newReference: string,
  by: string,
): Promise<Found> {
  const newId = await commitPlan(context.store, async () => {
    const old = await findEnrolled(context, oldReference);
    const successor = await findHost(context, newReference);
    if (successor.id === old.key) {
      throw new TouchmarkError('host_state_conflict', `host ${old.key} cannot take its own place`);
    }
    const batches = [
      await retireOld(context, old, successor.id, by),
      await inherit(context, successor, old.value, by),
      await claimName(context.store, {
        id: successor.id,
        before: nameOf(successor),
        after: old.value.name,
        from: old.key,
      }),
      await moveEntries(
        context,
        tpmNodeId(context.trustDomain, old.key),
        tpmNodeId(context.trustDomain, successor.id),
      ),
    ];
    return { ...joinBatches(...batches), result: successor.id };
  });
  context.queue.remove(newId);
  context.onEvent({ name: 'host_changed', hostId: newId, change: 'replaced another', by });
  return findHost(context, newId);
}

function nameOf(found: Found): string {
  if (found.kind === 'host') return found.host.name;
  return found.kind === 'allowed' ? found.allowed.name : '';
}

async function retireOld(
  context: HostsContext,
  old: Stored<Host>,
  newId: string,
  by: string,
): Promise<Batch> {
  const reason = { code: 'replaced', message: `${by} put ${newId} in its place` };
  const retired = transition(old.value, { kind: 'retired', reason }, context.clock.now());
  const batch = await hostBatch(context, old, { ...retired, name: '', labels: {} });
  return { ...batch, writes: batch.writes.map(evicted) };
}

async function inherit(context: HostsContext, successor: Found, from: Heirloom, by: string): Promise<Batch> {
  const { name, labels } = from;
  if (successor.kind === 'host') {
    const host = await findEnrolled(context, successor.id);
    if (host.value.state === 'retired' || host.value.state === 'banned') {
      throw new TouchmarkError('host_state_conflict', `host ${host.key} is ${host.value.state}`);
    }
    return hostBatch(context, host, { ...host.value, name, labels: { ...host.value.labels, ...labels } });
  }
  const key = successor.id;
  const before = await context.store.get('allowed_ek', key);
  const fresh: AllowedEk = {
    hash: key,
    name: '',
    labels: {},
    allowedBy: `approval by ${by}`,
    allowedAt: context.clock.now(),
  };
  const allowed = before?.value ?? fresh;
  return {
    writes: [
      { kind: 'allowed_ek', key, value: { ...allowed, name, labels: { ...allowed.labels, ...labels } } },
    ],
    conditions: [
      { kind: 'allowed_ek', key, revision: before?.revision ?? 0 },
      { kind: 'host_ek', key, revision: 0 },
    ],
  };
}

/** Entries directly below the old node. One that exists below the new node already is dropped instead of doubled. */
async function moveEntries(context: HostsContext, from: SpiffeId, to: SpiffeId): Promise<Batch> {
  const writes: Write[] = [];
  const conditions: Condition[] = [];
  for (const { id, parentId } of context.registry.entries()) {
    if (parentId !== from) continue;
    const seen = await context.store.get('entry', id);
    if (seen === undefined || seen.value.parentId !== from) continue;
    conditions.push({ kind: 'entry', key: id, revision: seen.revision });
    const moved: Entry = { ...seen.value, parentId: to, revisionNumber: seen.value.revisionNumber + 1 };
    const newKey = entryUniqueKey(moved);
    const holder = await context.store.get('entry_key', newKey);
    conditions.push({ kind: 'entry_key', key: newKey, revision: holder?.revision ?? 0 });
    writes.push({ kind: 'entry_key', key: entryUniqueKey(seen.value), deleted: true });
    if (holder === undefined) {
      writes.push(
        { kind: 'entry', key: id, value: moved },
        { kind: 'entry_key', key: newKey, value: { id } },
      );
    } else writes.push({ kind: 'entry', key: id, deleted: true });
  }
  return { writes, conditions };
}
