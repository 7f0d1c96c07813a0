import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../../clock.js';
import { messageOf, TouchmarkError } from '../../errors.js';
import type { Logger } from '../../log.js';
import type { Bundle } from '../../spiffe/bundle.js';
import type { TrustDomain } from '../../spiffe/id.js';
import { pause } from '../backoff.js';
import type { FedIdentityStore } from '../identities/identity-store.js';
import type { ServerApi } from '../server/api.js';
import { withDeadline } from '../signals.js';
import { isWithdrawn, serveIfReady } from './apply-messages.js';

export interface PollDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly store: FedIdentityStore;
  readonly random: () => number;
  /** The server's newest own bundle, before the store has it. @throws TouchmarkError when it cannot be believed */
  ownBundle(bundle: Bundle): void;
}

export type PolledApi = Pick<ServerApi, 'bundle' | 'syncEntries' | 'federatedBundle' | 'postStatus'>;

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
  api: PolledApi,
  deps: PollDeps,
  signal: AbortSignal,
  established: () => void,
): Promise<void> {
  const { clock, random } = deps;
  const limits = { clock, ms: CALL_TIMEOUT_MS, signal };
  for (let round = 0; !signal.aborted; round += 1) {
    await withDeadline(limits, (limited) => pollOnce(api, deps, limited));
    if (round === 0) {
      established();
      await withDeadline(limits, (limited) => introduce(api, deps, limited));
    }
    await pause(clock, POLL_MS * (0.9 + 0.2 * random()), signal);
  }
}

/** Tells an operator's listing which agent this is. Servers that do not want to know it are no worse for that. */
async function introduce(api: PolledApi, { store, log }: PollDeps, signal: AbortSignal): Promise<void> {
  try {
    await api.postStatus(store.bundles?.own.sequence ?? 0n, signal);
  } catch (error) {
    log.debug('the server did not take the status of the agent', { error: messageOf(error) });
  }
}

async function pollOnce(api: PolledApi, deps: PollDeps, signal: AbortSignal): Promise<void> {
  const { store } = deps;
  const polled = store.held.epoch === EPOCH;
  const own = await api.bundle(signal);
  const entries = await api.syncEntries(polled ? store.entries() : new Map(), signal);
  const domains = new Set([...entries.values()].flatMap(({ federatesWith }) => federatesWith));
  domains.delete(own.trustDomain);
  const federated = await foreignBundles(api, domains, signal);
  signal.throwIfAborted();
  store.heard();
  deps.ownBundle(own);
  const next = { own, federated, crls: [] };
  // The bundles first: what is signed for the entries is checked against them.
  if (!isDeepStrictEqual(store.bundles, next)) store.setBundles(next);
  const revision = polled ? store.held.revision + 1n : 1n;
  store.applyEntries({ epoch: EPOCH, revision, full: true, upserts: [...entries.values()], removed: [] });
  // Such a server has no verdicts: that it answers is the end of a ban.
  if (isWithdrawn(store.status.state)) store.setStatus({ state: '', reasons: [] });
  serveIfReady(store);
}

async function foreignBundles(
  api: PolledApi,
  domains: ReadonlySet<TrustDomain>,
  signal: AbortSignal,
): Promise<Map<TrustDomain, Bundle>> {
  const found = new Map<TrustDomain, Bundle>();
  for (const domain of domains) {
    const bundle = await api.federatedBundle(domain, signal);
    if (bundle !== undefined && bundle.trustDomain !== domain) {
      const message = `the server sent the bundle of ${bundle.trustDomain} instead of that of ${domain}`;
      throw new TouchmarkError('server_answer_invalid', message);
    }
    if (bundle !== undefined) found.set(domain, bundle);
  }
  return found;
}
