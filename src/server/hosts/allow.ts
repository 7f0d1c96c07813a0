/** Letting chips in: by their hash beforehand, or by the code under which they wait. */
import { TouchmarkError } from '../../errors.js';
import { commitPlan } from '../commit.js';
import type { AllowedEk, Host } from '../model.js';
import { type Batch, joinBatches } from './change.js';
import type { AllowRequest, HostsContext } from './contract.js';
import { type Found, findHost } from './find.js';
import { claimName } from './name-claim.js';
import { checkHostName, checkLabels, type Labels, readEkHash } from './names.js';
import type { PendingHost } from './queue.js';
import { stateTable } from './state.js';
import { disallowBatch, setHost } from './verbs.js';

export async function allowHost(
  context: HostsContext,
  request: AllowRequest,
  allowedBy: string,
  by: string,
): Promise<Found> {
  const hash = readEkHash(request.ekHash);
  const enrolled = context.registry.hostByEk(hash);
  if (enrolled !== undefined) {
    if (stateTable[enrolled.state].withdraw) throw notLetIn(enrolled);
    const name = request.name === '' ? {} : { name: request.name };
    return setHost(context, enrolled.id, { ...name, labels: request.labels, removeLabels: [] }, by);
  }
  checkHostName(request.name);
  const labels = checkLabels(request.labels);
  const value: AllowedEk = { hash, name: request.name, labels, allowedBy, allowedAt: context.clock.now() };
  await commitPlan(context.store, async () => ({ ...(await allowBatch(context, value)), result: undefined }));
  context.queue.remove(hash);
  context.onEvent({ name: 'host_changed', hostId: hash, change: 'allowed', by });
  return { kind: 'allowed', id: hash, allowed: value };
}

/** An allowance that changes nothing but a name must not look as if the host were let in. */
function notLetIn({ id, state }: Host): TouchmarkError {
  const verb = state === 'retired' ? 'forget' : 'release';
  return new TouchmarkError('host_state_conflict', `host ${id} is ${state}: ${verb} it to let it in again`);
}

/** Conditional on the key not having enrolled meanwhile: an allowance beside a host would outlive it unseen. */
async function allowBatch({ store }: HostsContext, value: AllowedEk): Promise<Batch> {
  const { hash: key, name } = value;
  const before = await store.get('allowed_ek', key);
  const claim = await claimName(store, { id: key, before: before?.value.name ?? '', after: name });
  const batch: Batch = {
    writes: [{ kind: 'allowed_ek', key, value }],
    conditions: [
      { kind: 'host_ek', key, revision: 0 },
      { kind: 'allowed_ek', key, revision: before?.revision ?? 0 },
    ],
  };
  return joinBatches(batch, claim);
}

/** An approval is an allowance of the key under which the chip waits; the agent, which tries again, is then let in. */
export async function approveHost(
  context: HostsContext,
  reference: string,
  given: { name: string; labels: Labels },
  by: string,
): Promise<Found> {
  const pending = context.queue.byCode(reference) ?? waitingByHash(context, reference);
  if (pending === undefined) {
    throw new TouchmarkError(
      'approval_unknown',
      `no host waits under ${JSON.stringify(reference.slice(0, 100))}`,
    );
  }
  return allowHost(context, { ekHash: pending.id, ...given }, `approval by ${by}`, by);
}

function waitingByHash(context: HostsContext, reference: string): PendingHost | undefined {
  const wanted = reference.trim().toLowerCase();
  return context.queue.waiting().find((item) => item.eks.some((ek) => ek.hash === wanted));
}

export async function denyHost(context: HostsContext, reference: string, by: string): Promise<void> {
  const found = await commitPlan<Found>(context.store, async () => {
    const result = await findHost(context, reference);
    if (result.kind === 'allowed') return { ...(await disallowBatch(context, result.id)), result };
    return { writes: [], conditions: [], result };
  });
  if (found.kind === 'host') {
    throw new TouchmarkError('host_state_conflict', `host ${found.id} is enrolled and cannot be denied`);
  }
  if (found.kind === 'pending') context.queue.deny(found.id);
  context.onEvent({ name: 'host_changed', hostId: found.id, change: 'denied', by });
}
