import { hasCode, TouchmarkError } from '../../errors.js';
import type { Bundle } from '../../spiffe/bundle.js';
import type { Entry } from '../../spiffe/entry.js';
import type { TrustDomain } from '../../spiffe/id.js';
import type { Selector } from '../../spiffe/selector.js';
import type { Bundles, IdentityStore, JwtIdentity, X509Identity } from '../contract.js';
import type { Workload } from '../workload-attestors/contract.js';
import type { AttestWorkload } from './attest-workload.js';
import { storeChanges } from './changes.js';

export interface Delivery {
  readonly store: IdentityStore;
  readonly attest: AttestWorkload;
  /** Bundles for callers without an entry. */
  readonly allowUnauthenticatedVerifiers: boolean;
}

/** What one X.509 message holds. */
export interface X509Update {
  readonly identities: readonly X509Identity[];
  readonly own: Bundle;
  /** Of the domains that any of the entries names. */
  readonly federated: ReadonlyMap<TrustDomain, Bundle>;
  readonly crls: readonly Uint8Array[];
}

export interface BundleUpdate {
  readonly own: Bundle;
  readonly federated: ReadonlyMap<TrustDomain, Bundle>;
  readonly crls: readonly Uint8Array[];
}

/** The X.509 identities of a workload, whole at every change that it can see. */
export async function* x509Updates(
  deps: Delivery,
  workload: Workload,
  signal: AbortSignal,
): AsyncGenerator<X509Update> {
  const whoIs = rememberSelectors(deps, workload, signal);
  let sent: readonly unknown[] | undefined;
  for await (const _ of storeChanges(deps.store, workload.process, signal)) {
    // What was found out before is enough to see that nothing changed; who is there is asked again before sending.
    const before = whoIs.known;
    if (sent && before && sameParts(sent, partsOf(peekX509(deps, before)))) continue;
    const update = await x509For(deps, await whoIs.ask(), signal);
    const parts = partsOf(update);
    if (sent && sameParts(sent, parts)) continue;
    sent = parts;
    yield update;
  }
}

/** The bundles that a workload may see, whole at every change. */
export async function* bundleUpdates(
  deps: Delivery,
  workload: Workload,
  signal: AbortSignal,
): AsyncGenerator<BundleUpdate> {
  const whoIs = rememberSelectors(deps, workload, signal);
  let sent: readonly unknown[] | undefined;
  for await (const _ of storeChanges(deps.store, workload.process, signal)) {
    const update = bundlesFor(deps, whoIs.known ?? (await whoIs.ask()));
    const parts = [update.own, ...update.federated.values(), ...update.crls];
    if (sent && sameParts(sent, parts)) continue;
    sent = parts;
    yield update;
  }
}

/** One token for each identity, or for the one that is asked for. */
export async function jwtIdentities(
  deps: Delivery,
  workload: Workload,
  request: { audience: readonly string[]; id: string },
  signal: AbortSignal,
): Promise<JwtIdentity[]> {
  const { selectors } = await deps.attest(workload, signal);
  const entries = entriesFor(deps, selectors).filter(
    ({ spiffeId }) => request.id === '' || spiffeId === request.id,
  );
  if (entries.length === 0) throw noIdentity();
  return Promise.all(entries.map((entry) => deps.store.jwt(entry, request.audience, signal)));
}

/** The bundles by which this caller may have tokens checked. */
export async function bundlesOnce(
  deps: Delivery,
  workload: Workload,
  signal: AbortSignal,
): Promise<BundleUpdate> {
  return bundlesFor(deps, (await deps.attest(workload, signal)).selectors);
}

/**
 * The entries that a workload has, in order.
 * @throws TouchmarkError `agent_starting`, `identities_withdrawn`, `no_identity`
 */
export function entriesFor({ store }: Delivery, selectors: readonly Selector[]): readonly Entry[] {
  readyBundles(store);
  const entries = store.matching(selectors);
  if (entries.length === 0) throw noIdentity();
  return entries;
}

/** Who connected, found out once and again whenever something is about to be handed over. */
function rememberSelectors(deps: Delivery, workload: Workload, signal: AbortSignal) {
  let known: readonly Selector[] | undefined;
  return {
    get known() {
      return known;
    },
    async ask(): Promise<readonly Selector[]> {
      known = (await deps.attest(workload, signal)).selectors;
      return known;
    },
  };
}

async function x509For(
  deps: Delivery,
  selectors: readonly Selector[],
  signal: AbortSignal,
): Promise<X509Update> {
  const entries = entriesFor(deps, selectors);
  try {
    await deps.store.ensureX509(entries, signal);
  } catch (error) {
    // The server is away: what is still held is still good. With nothing held the failure is the answer.
    if (!hasCode(error, 'svid_unavailable') || !entries.some((entry) => deps.store.x509(entry.id)))
      throw error;
  }
  return collect(deps.store, entries);
}

/** The same without asking anybody: undefined when it could not be told. */
function peekX509(deps: Delivery, selectors: readonly Selector[]): X509Update | undefined {
  if (deps.store.status.phase !== 'serving' || !deps.store.bundles) return undefined;
  const entries = deps.store.matching(selectors);
  const whole = entries.length > 0 && entries.every((entry) => deps.store.x509(entry.id)?.entry === entry);
  return whole ? collect(deps.store, entries) : undefined;
}

function collect(store: IdentityStore, entries: readonly Entry[]): X509Update {
  const bundles = readyBundles(store);
  const identities = entries.flatMap((entry) => store.x509(entry.id) ?? []);
  if (identities.length === 0) throw noIdentity();
  return { identities, own: bundles.own, federated: federatedOf(bundles, entries), crls: bundles.crls };
}

function bundlesFor(deps: Delivery, selectors: readonly Selector[]): BundleUpdate {
  const bundles = readyBundles(deps.store);
  const entries = deps.store.matching(selectors);
  if (entries.length === 0 && !deps.allowUnauthenticatedVerifiers) throw noIdentity();
  return { own: bundles.own, federated: federatedOf(bundles, entries), crls: bundles.crls };
}

function federatedOf(bundles: Bundles, entries: readonly Entry[]): Map<TrustDomain, Bundle> {
  const names = new Set(entries.flatMap((entry) => entry.federatesWith));
  names.delete(bundles.own.trustDomain);
  return new Map([...bundles.federated].filter(([name]) => names.has(name)));
}

function readyBundles({ status, bundles }: IdentityStore): Bundles {
  if (status.phase === 'withdrawn') {
    const why =
      status.reasons.map((reason) => reason.message).join('; ') ||
      'the server withdrew this host’s identities';
    throw new TouchmarkError('identities_withdrawn', `no identity issued: ${why}`);
  }
  if (status.phase === 'starting' || !bundles) {
    throw new TouchmarkError('agent_starting', 'the agent is starting: it has not heard from its server yet');
  }
  return bundles;
}

/** Everything whose change a reader can see, by reference: stored objects are replaced, never altered. */
function partsOf(update: X509Update | undefined): readonly unknown[] | undefined {
  return update && [...update.identities, update.own, ...update.federated.values(), ...update.crls];
}

function sameParts(a: readonly unknown[], b: readonly unknown[] | undefined): boolean {
  return b !== undefined && a.length === b.length && a.every((part, index) => part === b[index]);
}

/** The text is what clients look for. */
function noIdentity(): TouchmarkError {
  return new TouchmarkError('no_identity', 'no identity issued');
}
