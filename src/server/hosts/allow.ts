/** Letting chips in: by their hash beforehand, or by the code under which they wait. */
import { TouchmarkError } from '../../errors.js';
import { commitPlan } from '../commit.js';
import type { AllowedEk } from '../model.js';
import type { AllowRequest, HostsContext } from './contract.js';
import { checkNameFree, type Found, findHost } from './find.js';
import { checkHostName, checkLabels, type Labels, readEkHash } from './names.js';
import type { PendingHost } from './queue.js';
import { setHost } from './verbs.js';

export async function allowHost(
  context: HostsContext,
  request: AllowRequest,
  allowedBy: string,
  by: string,
): Promise<Found> {
  const hash = readEkHash(request.ekHash);
  const enrolled = context.registry.hostByEk(hash);
  if (enrolled !== undefined) {
    const name = request.name === '' ? {} : { name: request.name };
    return setHost(context, enrolled.id, { ...name, labels: request.labels, removeLabels: [] }, by);
  }
  checkHostName(request.name);
  const labels = checkLabels(request.labels);
  await checkNameFree(context, request.name, [hash]);
  const value: AllowedEk = { hash, name: request.name, labels, allowedBy, allowedAt: context.clock.now() };
  // Conditional on the key not having enrolled meanwhile: an allowance beside a host would outlive it unseen.
  await commitPlan(context.store, async () => ({
    writes: [{ kind: 'allowed_ek', key: hash, value }],
    conditions: [{ kind: 'host_ek', key: hash, revision: 0 }],
    result: undefined,
  }));
  context.queue.remove(hash);
  context.onEvent({ name: 'host_changed', hostId: hash, change: 'allowed', by });
  return { kind: 'allowed', id: hash, allowed: value };
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
  const found = await findHost(context, reference);
  if (found.kind === 'host') {
    throw new TouchmarkError('host_state_conflict', `host ${found.id} is enrolled and cannot be denied`);
  }
  if (found.kind === 'pending') context.queue.deny(found.id);
  else await context.store.commit([{ kind: 'allowed_ek', key: found.id, deleted: true }]);
  context.onEvent({ name: 'host_changed', hostId: found.id, change: 'denied', by });
}
