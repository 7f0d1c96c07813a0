import { type Clock, unixSeconds } from '../../clock.js';
import { TouchmarkError } from '../../errors.js';
import type { Logger } from '../../log.js';
import type { Entry } from '../../spiffe/entry.js';
import type { Selector } from '../../spiffe/selector.js';
import { generateKey } from '../../x509/keys.js';
import type { Bundles, IdentityStore, JwtIdentity, NodeStatus, Reason, X509Identity } from '../contract.js';
import type { EntriesMessage, ServerApi } from '../server/api.js';
import { withDeadline } from '../signals.js';
import { Announcer } from './announcer.js';
import { createEntrySet } from './entry-set.js';
import { Failures } from './failures.js';
import { JwtCache } from './jwt-cache.js';
import { checkReceivedSvid } from './received-svid.js';
import { X509Cache, type X509CacheDeps } from './x509-cache.js';

/** The store with its writing side, which only sync and renewal use. */
export interface FedIdentityStore extends IdentityStore, Disposable {
  /** What the store holds, for the next session's hello. */
  readonly held: { readonly revision: bigint; readonly epoch: string };
  /** Takes one whole change (`more` already joined): all of it at once. */
  applyEntries(change: Omit<EntriesMessage, 'kind' | 'more'>): void;
  setBundles(bundles: Bundles): void;
  setStatus(change: Partial<NodeStatus>): void;
  /** The server spoke: remembered without waking anybody. */
  heard(): void;
  /** Drops entries, SVIDs, keys and tokens; workloads are refused with these reasons. */
  withdraw(state: string, reasons: readonly Reason[]): void;
  /** The server is back: what waits for another attempt is tried at once. */
  retryNow(): void;
  readonly counts: { readonly entries: number; readonly x509: number; readonly jwt: number };
}

export interface IdentityStoreDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly keyType: 'ec-p256' | 'rsa-2048';
  readonly jwtCache: number;
  /** @throws TouchmarkError `server_away` while there is no channel */
  server(): Pick<ServerApi, 'signX509' | 'signJwt'>;
  readonly x509SoftLimit?: number;
  readonly random?: () => number;
}

const X509_SOFT_LIMIT = 1_000;
const SIGNING_TIMEOUT_MS = 30_000;
const nothingHeld = { revision: 0n, epoch: '' };
const initialStatus: NodeStatus = {
  phase: 'starting',
  state: '',
  reasons: [],
  connected: false,
  lastContact: 0,
  svidExpiresAt: 0,
  approvalCode: '',
};

export function createIdentityStore(deps: IdentityStoreDeps): FedIdentityStore {
  return new HeldIdentities(deps);
}

class HeldIdentities implements FedIdentityStore {
  readonly #deps: IdentityStoreDeps;
  readonly #ended = new AbortController();
  readonly #announcer = new Announcer();
  readonly #entries = createEntrySet();
  readonly #failures: Failures;
  readonly #x509: X509Cache;
  readonly #jwt: JwtCache;
  #status = initialStatus;
  #version = 0;
  #bundles: Bundles | undefined;
  #held = nothingHeld;

  constructor(deps: IdentityStoreDeps) {
    this.#deps = deps;
    this.#failures = new Failures(deps.clock);
    this.#x509 = new X509Cache(this.#x509Deps());
    this.#jwt = new JwtCache({
      clock: deps.clock,
      most: deps.jwtCache,
      bundle: () => this.#bundles?.own,
      sign: (id, audience) => this.#timed((signal) => deps.server().signJwt(id, audience, signal)),
    });
  }

  get status(): NodeStatus {
    return this.#status;
  }

  get version(): number {
    return this.#version;
  }

  get bundles(): Bundles | undefined {
    return this.#bundles;
  }

  get held(): FedIdentityStore['held'] {
    return this.#held;
  }

  get counts(): FedIdentityStore['counts'] {
    return { entries: this.#entries.all().size, x509: this.#x509.size, jwt: this.#jwt.size };
  }

  entries(): ReadonlyMap<string, Entry> {
    return this.#entries.all();
  }

  matching(selectors: readonly Selector[]): readonly Entry[] {
    return this.#entries.matching(selectors);
  }

  x509(entryId: string): X509Identity | undefined {
    return this.#x509.get(entryId);
  }

  look(entryId: string): ReturnType<IdentityStore['look']> {
    const identity = this.#x509.look(entryId);
    const failure = this.#failures.get(entryId);
    return { ...(identity && { identity }), ...(failure && { failure }) };
  }

  ensureX509(wanted: readonly Entry[], signal: AbortSignal): Promise<void> {
    return this.#x509.ensure(wanted, signal);
  }

  async jwt(entry: Entry, audience: readonly string[], signal: AbortSignal): Promise<JwtIdentity> {
    const identity = await this.#jwt.get(entry, audience, signal).catch((error: Error) => {
      if (error.cause !== undefined && this.#entries.get(entry.id))
        this.#failures.note(entry.id, error.cause);
      throw error;
    });
    // Signing takes a while: the entry may have gone, or become another identity's, in the meantime.
    if (this.#entries.get(entry.id)?.spiffeId === identity.id) return identity;
    throw new TouchmarkError('svid_unavailable', `entry ${JSON.stringify(entry.id)} is not this node's`);
  }

  onChange(listener: () => void): () => void {
    return this.#announcer.listen(listener);
  }

  applyEntries(message: Omit<EntriesMessage, 'kind' | 'more'>): void {
    const repeated = message.epoch === this.#held.epoch && message.revision <= this.#held.revision;
    if (!message.full && repeated) return;
    const change = this.#entries.apply(message);
    this.#held = { revision: message.revision, epoch: message.epoch };
    for (const id of [...change.removed, ...change.changed.map((entry) => entry.id)]) {
      this.#jwt.removeEntry(id);
      this.#failures.forget(id);
    }
    this.#x509.entriesChanged(change);
    if (change.added.length + change.changed.length + change.removed.length > 0) this.#changed();
  }

  setBundles(next: Bundles): void {
    this.#bundles = next;
    this.#x509.bundleChanged(next.own);
    this.#jwt.bundleChanged(next.own);
    this.#changed();
  }

  setStatus(change: Partial<NodeStatus>): void {
    const phaseMoved = change.phase !== undefined && change.phase !== this.#status.phase;
    this.#status = { ...this.#status, ...change };
    if (phaseMoved) this.#changed();
    else this.#announcer.soon();
  }

  heard(): void {
    this.#status = { ...this.#status, lastContact: this.#deps.clock.now() };
  }

  withdraw(state: string, reasons: readonly Reason[]): void {
    this.#drop();
    this.#held = nothingHeld;
    this.#status = { ...this.#status, phase: 'withdrawn', state, reasons };
    this.#changed();
  }

  retryNow(): void {
    this.#failures.serverBack();
    this.#x509.retryNow();
  }

  [Symbol.dispose](): void {
    this.#ended.abort();
    this.#drop();
    this.#announcer.stop();
  }

  #drop(): void {
    this.#entries.clear();
    this.#x509.clear();
    this.#jwt.clear();
    this.#failures.clear();
  }

  #changed(): void {
    this.#version += 1;
    this.#announcer.soon();
  }

  #timed<T>(call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { clock } = this.#deps;
    return withDeadline({ clock, ms: SIGNING_TIMEOUT_MS, signal: this.#ended.signal }, call);
  }

  #x509Deps(): X509CacheDeps {
    const { clock, log, server, keyType, random = Math.random, x509SoftLimit = X509_SOFT_LIMIT } = this.#deps;
    return {
      clock,
      log,
      random,
      softLimit: x509SoftLimit,
      signal: this.#ended.signal,
      failures: this.#failures,
      sign: (requests) => this.#timed((signal) => server().signX509(requests, signal)),
      makeKey: () => generateKey(keyType),
      entry: (id) => this.#entries.get(id),
      entries: () => this.#entries.all().values(),
      changed: () => this.#changed(),
      check: (...received) => this.#check(...received),
    };
  }

  /** What the server sent is this entry's SVID for this key, and chains to the own bundle as it is now. */
  #check(...[chain, entry, key]: Parameters<X509CacheDeps['check']>): ReturnType<X509CacheDeps['check']> {
    if (this.#bundles === undefined) throw new TouchmarkError('svid_unavailable', 'no bundle is held yet');
    const svid = checkReceivedSvid(chain, key, this.#bundles.own, unixSeconds(this.#deps.clock));
    if (svid.id === entry.spiffeId) return svid;
    const message = `the server sent an SVID for ${svid.id} instead of ${entry.spiffeId}`;
    throw new TouchmarkError('server_answer_invalid', message);
  }
}
