import type { Clock } from '../../clock.js';
import { hasCode, TouchmarkError } from '../../errors.js';
import type { Bundle } from '../../spiffe/bundle.js';
import type { Entry } from '../../spiffe/entry.js';
import type { TrustDomain } from '../../spiffe/id.js';
import type { Bundles, IdentityStore, JwtIdentity, X509Identity } from '../contract.js';
import type { Workload } from '../workload-attestors/contract.js';
import { type Attestation, attestationFailed, type WorkloadAttestation } from './attest-workload.js';
import { jwtKeySetOf, x509BundleOf } from './bundle-bytes.js';
import { follow, type View } from './follow.js';

export interface Delivery {
  readonly store: IdentityStore;
  readonly attestation: WorkloadAttestation;
  readonly clock: Clock;
  /** Bundles for callers without an entry. */
  readonly allowUnauthenticatedVerifiers: boolean;
}

export interface BundleUpdate {
  readonly own: Bundle;
  /** Of the domains that any of the caller's entries names. */
  readonly federated: ReadonlyMap<TrustDomain, Bundle>;
  readonly crls: readonly Uint8Array[];
}

/** What one X.509 message holds. */
export interface X509Update extends BundleUpdate {
  readonly identities: readonly X509Identity[];
}

/** A first message waits no longer than this for the last of several SVIDs. */
const FIRST_WAIT_MS = 500;

/** The X.509 identities of a workload, whole at every change that it can see. */
export function x509Updates(
  deps: Delivery,
  workload: Workload,
  signal: AbortSignal,
): AsyncGenerator<X509Update> {
  const view: View<X509Update> = {
    ready: () => readyBundles(deps.store),
    peek: (attestation) => peekX509(deps, attestation),
    build: (attestation, first) => buildX509(deps, attestation, first, signal),
    visible: (update) => [
      ...update.identities.flatMap(({ entry, chain, key }) => [entry.spiffeId, entry.hint, key, ...chain]),
      ...visibleBundles(update, x509BundleOf),
      ...update.crls,
    ],
  };
  return follow(deps, workload, signal, view);
}

/** The bundles that a workload may see, whole at every change of what this kind of stream shows of them. */
export function bundleUpdates(
  deps: Delivery,
  workload: Workload,
  signal: AbortSignal,
  kind: 'x509' | 'jwt',
): AsyncGenerator<BundleUpdate> {
  const view: View<BundleUpdate> = {
    ready: () => readyBundles(deps.store),
    peek: (attestation) => (mayVerify(deps, attestation) ? bundlesFor(deps, attestation) : undefined),
    build: async (attestation) => bundlesFor(deps, attestation),
    visible: (update) =>
      kind === 'jwt'
        ? visibleBundles(update, jwtKeySetOf)
        : [...visibleBundles(update, x509BundleOf), ...update.crls],
  };
  return follow(deps, workload, signal, view);
}

/** One token for each identity, or for the one that is asked for. */
export async function jwtIdentities(
  deps: Delivery,
  workload: Workload,
  request: { audience: readonly string[]; id: string },
  signal: AbortSignal,
): Promise<JwtIdentity[]> {
  const { store } = deps;
  readyBundles(store);
  const attestation = await deps.attestation.attest(workload, signal);
  const asked = () =>
    entriesFor(deps, attestation).filter(({ spiffeId }) => request.id === '' || spiffeId === request.id);
  const entries = asked();
  if (entries.length === 0) throw noIdentity();
  const { version } = store;
  const identities = await Promise.all(entries.map((entry) => store.jwt(entry, request.audience, signal)));
  // Signing takes a while: what was taken away meanwhile is not handed over.
  if (store.version !== version) {
    const now = new Set(asked().map(({ id }) => id));
    if (!entries.every(({ id }) => now.has(id))) throw noIdentity();
  }
  return identities;
}

/** The bundles by which this caller may have tokens checked. */
export async function bundlesOnce(
  deps: Delivery,
  workload: Workload,
  signal: AbortSignal,
): Promise<BundleUpdate> {
  readyBundles(deps.store);
  return bundlesFor(deps, await deps.attestation.attest(workload, signal));
}

/** What rust-spiffe takes at most of one message. */
const MOST_IDENTITIES = 100;

/** @throws TouchmarkError `agent_starting`, `identities_withdrawn`, `no_identity`, `workload_attestation_failed` */
function entriesFor({ store }: Delivery, attestation: Attestation): readonly Entry[] {
  readyBundles(store);
  const entries = store.matching(attestation.selectors);
  // Clients refuse a whole message that holds more; the first ones, the default among them, stay the same.
  if (entries.length > 0) return entries.slice(0, MOST_IDENTITIES);
  // What could not be found out might have matched: that is no reason to tell a client that it has no identity.
  if (attestation.attestors.some(({ failed }) => failed)) throw attestationFailed(attestation.attestors);
  throw noIdentity();
}

/**
 * Signs what is missing. The first update waits for it; a later one does not hold back what has changed, for the SVID
 * that arrives is a change as well.
 */
async function buildX509(
  deps: Delivery,
  attestation: Attestation,
  first: boolean,
  signal: AbortSignal,
): Promise<X509Update> {
  const { store, clock } = deps;
  const entries = entriesFor(deps, attestation);
  const held = () => entries.filter((entry) => store.x509(entry.id)).length;
  const signing = store.ensureX509(entries, signal);
  signing.catch(() => {});
  if (held() === 0) await signing.catch((error: unknown) => giveUp(deps, attestation, error));
  else if (first && held() < entries.length) await atMost(FIRST_WAIT_MS, clock, signing);
  // Made again at use: entries and bundles may have changed while this waited.
  return collect(store, entriesFor(deps, attestation));
}

/** Nothing is held and nothing was signed: because there is no entry any more, or because the server is away. */
function giveUp(deps: Delivery, attestation: Attestation, error: unknown): void {
  const entries = entriesFor(deps, attestation);
  const gone = hasCode(error, 'svid_unavailable') && entries.some(({ id }) => deps.store.x509(id));
  if (!gone) throw error;
}

function atMost(ms: number, clock: Clock, work: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(ms, resolve);
    const done = () => {
      cancel();
      resolve();
    };
    work.then(done, done);
  });
}

/** The update without asking anybody: undefined when it could not be told. */
function peekX509({ store }: Delivery, { selectors }: Attestation): X509Update | undefined {
  if (store.status.phase !== 'serving' || !store.bundles) return undefined;
  const entries = store.matching(selectors);
  const whole = entries.length > 0 && entries.every((entry) => store.x509(entry.id));
  return whole ? collect(store, entries) : undefined;
}

/** @throws TouchmarkError `svid_unavailable` when none of them has an SVID */
function collect(store: IdentityStore, entries: readonly Entry[]): X509Update {
  const bundles = readyBundles(store);
  const identities = entries.flatMap((entry) => store.x509(entry.id) ?? []);
  if (identities.length === 0) throw new TouchmarkError('svid_unavailable', 'no X.509-SVID is held yet');
  return { identities, ...seenBundles(bundles, entries) };
}

function bundlesFor(deps: Delivery, attestation: Attestation): BundleUpdate {
  const bundles = readyBundles(deps.store);
  if (deps.allowUnauthenticatedVerifiers)
    return seenBundles(bundles, deps.store.matching(attestation.selectors));
  return seenBundles(bundles, entriesFor(deps, attestation));
}

function mayVerify({ store, allowUnauthenticatedVerifiers }: Delivery, { selectors }: Attestation): boolean {
  if (store.status.phase !== 'serving' || !store.bundles) return false;
  return allowUnauthenticatedVerifiers || store.matching(selectors).length > 0;
}

function seenBundles({ own, federated, crls }: Bundles, entries: readonly Entry[]): BundleUpdate {
  const names = new Set(entries.flatMap((entry) => entry.federatesWith));
  names.delete(own.trustDomain);
  return { own, federated: new Map([...federated].filter(([name]) => names.has(name))), crls };
}

function visibleBundles(
  { own, federated }: BundleUpdate,
  bytesOf: (bundle: Bundle) => Uint8Array,
): unknown[] {
  return [own, ...federated.values()].flatMap((bundle) => [bundle.trustDomain, bytesOf(bundle)]);
}

function readyBundles({ status, bundles }: IdentityStore): Bundles {
  if (status.phase === 'withdrawn') {
    // Why is between the host's operator and the server: a workload learns that it was so.
    const message = "no identity issued: the server withdrew this host's identities";
    throw new TouchmarkError('identities_withdrawn', message);
  }
  if (status.phase === 'starting' || !bundles) {
    throw new TouchmarkError('agent_starting', 'the agent is starting: it has not heard from its server yet');
  }
  return bundles;
}

/** The text is what clients look for. */
function noIdentity(): TouchmarkError {
  return new TouchmarkError('no_identity', 'no identity issued');
}
