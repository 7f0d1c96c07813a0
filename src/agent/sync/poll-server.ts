import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../../clock.js';
import type { Bundle } from '../../spiffe/bundle.js';
import type { TrustDomain } from '../../spiffe/id.js';
import { pause } from '../backoff.js';
import type { FedIdentityStore } from '../identities/identity-store.js';
import type { ServerApi } from '../server/api.js';
import { serveIfReady } from './session.js';

export interface PollDeps {
  readonly clock: Clock;
  readonly store: FedIdentityStore;
  readonly random: () => number;
  ownBundle(bundle: Bundle): void;
}

/** As often as SPIRE's agents ask. */
export const POLL_MS = 5_000;
/** Names the "store" of a server that counts no revisions of its whole set. */
const EPOCH = 'polled';
const CALL_TIMEOUT_MS = 30_000;

/**
 * Keeps up with a server that has no session stream, by asking: SyncAuthorizedEntries and GetBundle every five seconds.
 * The only place in the agent that polls. Runs until the signal ends.
 * @throws TouchmarkError what `ServerApi` says, at the first call that fails
 */
export async function pollServer(
  api: ServerApi,
  deps: PollDeps,
  signal: AbortSignal,
  established: () => void,
): Promise<void> {
  for (let round = 0; !signal.aborted; round += 1) {
    await pollOnce(api, deps, AbortSignal.any([signal, AbortSignal.timeout(CALL_TIMEOUT_MS)]));
    if (round === 0) established();
    await pause(deps.clock, POLL_MS * (0.9 + 0.2 * deps.random()), signal);
  }
}

async function pollOnce(api: ServerApi, deps: PollDeps, signal: AbortSignal): Promise<void> {
  const { store } = deps;
  const own = await api.bundle(signal);
  const entries = await api.syncEntries(store.held.epoch === EPOCH ? store.entries() : new Map(), signal);
  const domains = new Set([...entries.values()].flatMap(({ federatesWith }) => federatesWith));
  const federated = await foreignBundles(api, domains, signal);
  signal.throwIfAborted();
  store.heard();
  deps.ownBundle(own);
  const next = { own, federated, crls: [] };
  // The bundles first: what is signed for the entries is checked against them.
  if (!isDeepStrictEqual(store.bundles, next)) store.setBundles(next);
  store.applyEntries({
    epoch: EPOCH,
    revision: store.held.epoch === EPOCH ? store.held.revision + 1n : 1n,
    full: true,
    upserts: [...entries.values()],
    removed: [],
  });
  serveIfReady(store);
}

async function foreignBundles(
  api: ServerApi,
  domains: ReadonlySet<TrustDomain>,
  signal: AbortSignal,
): Promise<Map<TrustDomain, Bundle>> {
  const found = new Map<TrustDomain, Bundle>();
  for (const domain of domains) {
    const bundle = await api.federatedBundle(domain, signal);
    if (bundle !== undefined) found.set(domain, bundle);
  }
  return found;
}
