/** What an operator may mean by a host: an enrolled one, an allowed key that never called, or a chip that waits. */
import { TouchmarkError } from '../../errors.js';
import type { Registry } from '../contract.js';
import type { Datastore, Stored } from '../datastores/contract.js';
import type { AllowedEk, Host } from '../model.js';
import type { AllowedIndex } from './allowed.js';
import { looksLikeEkHash, readEkHash } from './names.js';
import type { ApprovalQueue, PendingHost } from './queue.js';

export interface FindDeps {
  readonly store: Datastore;
  readonly registry: Registry;
  readonly queue: ApprovalQueue;
  readonly allowed: AllowedIndex;
}

export type Found =
  | { readonly kind: 'host'; readonly id: string; readonly host: Host }
  | { readonly kind: 'allowed'; readonly id: string; readonly allowed: AllowedEk }
  | { readonly kind: 'pending'; readonly id: string; readonly pending: PendingHost };

/**
 * @param reference the hash of any EK of the chip, a name, or the code of a chip that waits
 * @throws TouchmarkError `host_unknown`
 */
export async function findHost(deps: FindDeps, reference: string): Promise<Found> {
  const found = looksLikeEkHash(reference)
    ? await findByHash(deps, readEkHash(reference))
    : ((await findByName(deps, reference)) ?? foundPending(deps.queue.byCode(reference)));
  if (found !== undefined) return found;
  throw new TouchmarkError('host_unknown', `there is no host ${JSON.stringify(reference.slice(0, 100))}`);
}

/** The enrolled host, with the revision that a change is conditional on. @throws TouchmarkError `host_unknown` */
export async function findEnrolled(deps: FindDeps, reference: string): Promise<Stored<Host>> {
  const found = await findHost(deps, reference);
  const stored = found.kind === 'host' ? await deps.store.get('host', found.id) : undefined;
  if (stored !== undefined) return stored;
  throw new TouchmarkError('host_unknown', `host ${found.id} has not attested yet`);
}

async function findByHash(deps: FindDeps, hash: string): Promise<Found | undefined> {
  const host = deps.registry.hostByEk(hash) ?? deps.registry.host(hash);
  if (host !== undefined) return { kind: 'host', id: host.id, host };
  const allowed = await deps.store.get('allowed_ek', hash);
  if (allowed !== undefined) return { kind: 'allowed', id: hash, allowed: allowed.value };
  const waiting = deps.queue.waiting().find((item) => item.eks.some((ek) => ek.hash === hash));
  return foundPending(waiting);
}

async function findByName(deps: FindDeps, name: string): Promise<Found | undefined> {
  for (const host of deps.registry.hosts())
    if (host.name === name) return { kind: 'host', id: host.id, host };
  for (const [id, allowed] of await deps.allowed.all()) {
    if (allowed.name === name) return { kind: 'allowed', id, allowed };
  }
  return undefined;
}

function foundPending(pending: PendingHost | undefined): Found | undefined {
  return pending === undefined ? undefined : { kind: 'pending', id: pending.id, pending };
}
