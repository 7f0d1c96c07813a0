import { type Clock, unixSeconds } from '../../clock.js';
import { TouchmarkError } from '../../errors.js';
import type { Logger } from '../../log.js';
import { generateKey } from '../../x509/keys.js';
import type { Bundles, IdentityStore, NodeStatus, Reason } from '../contract.js';
import type { EntriesMessage, ServerApi } from '../server/api.js';
import { createEntrySet } from './entry-set.js';
import { createJwtCache } from './jwt-cache.js';
import { checkReceivedSvid } from './received-svid.js';
import { createX509Cache } from './x509-cache.js';

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
  const { clock, log, random = Math.random } = deps;
  const ended = new AbortController();
  const announce = announcer();
  let status = initialStatus;
  let version = 0;
  let bundles: Bundles | undefined;
  let held = { revision: 0n, epoch: '' };

  const changed = () => {
    version += 1;
    announce.soon();
  };
  const entries = createEntrySet();
  const timed = () => AbortSignal.any([ended.signal, AbortSignal.timeout(SIGNING_TIMEOUT_MS)]);
  const x509 = createX509Cache({
    clock,
    log,
    random,
    softLimit: deps.x509SoftLimit ?? X509_SOFT_LIMIT,
    signal: ended.signal,
    sign: (requests) => deps.server().signX509(requests, timed()),
    makeKey: () => generateKey(deps.keyType),
    entry: (id) => entries.get(id),
    entries: () => entries.all().values(),
    changed,
    check(chain, entry, key) {
      if (bundles === undefined) throw new TouchmarkError('svid_unavailable', 'no bundle is held yet');
      const svid = checkReceivedSvid(chain, key, bundles.own, unixSeconds(clock));
      if (svid.id === entry.spiffeId) return svid;
      const message = `the server sent an SVID for ${svid.id} instead of ${entry.spiffeId}`;
      throw new TouchmarkError('server_answer_invalid', message);
    },
  });
  const jwt = createJwtCache({
    clock,
    most: deps.jwtCache,
    signal: ended.signal,
    bundle: () => bundles?.own,
    sign: async (id, audience) => deps.server().signJwt(id, audience, timed()),
  });

  return {
    get status() {
      return status;
    },
    get version() {
      return version;
    },
    get bundles() {
      return bundles;
    },
    get held() {
      return held;
    },
    get counts() {
      return { entries: entries.all().size, x509: x509.size, jwt: jwt.size };
    },
    entries: () => entries.all(),
    matching: (selectors) => entries.matching(selectors),
    x509: (entryId) => x509.get(entryId),
    ensureX509: (wanted, signal) => x509.ensure(wanted, signal),
    async jwt(entry, audience, signal) {
      const identity = await jwt.get(entry, audience, signal);
      // Signing takes a while: the entry may have gone, or become another identity's, in the meantime.
      if (entries.get(entry.id)?.spiffeId === identity.id) return identity;
      throw new TouchmarkError('svid_unavailable', `entry ${JSON.stringify(entry.id)} is not this node's`);
    },
    onChange: announce.listen,
    applyEntries(message) {
      const repeated = message.epoch === held.epoch && message.revision <= held.revision;
      if (!message.full && repeated) return;
      const change = entries.apply(message);
      held = { revision: message.revision, epoch: message.epoch };
      for (const id of change.removed) jwt.removeEntry(id);
      for (const { id } of change.changed) jwt.removeEntry(id);
      x509.entriesChanged(change);
      if (change.added.length + change.changed.length + change.removed.length > 0) changed();
    },
    setBundles(next) {
      bundles = next;
      x509.bundleChanged(next.own);
      jwt.bundleChanged(next.own);
      changed();
    },
    setStatus(change) {
      const phaseMoved = change.phase !== undefined && change.phase !== status.phase;
      status = { ...status, ...change };
      if (phaseMoved) changed();
      else announce.soon();
    },
    heard() {
      status = { ...status, lastContact: clock.now() };
    },
    withdraw(state, reasons) {
      entries.clear();
      x509.clear();
      jwt.clear();
      held = { revision: 0n, epoch: '' };
      status = { ...status, phase: 'withdrawn', state, reasons };
      changed();
    },
    retryNow: () => x509.retryNow(),
    [Symbol.dispose]() {
      ended.abort();
      x509.clear();
      jwt.clear();
      announce.stop();
    },
  };
}

/** Tells listeners once per turn of the event loop, however much changed in it. */
function announcer() {
  const listeners = new Set<() => void>();
  let pending: NodeJS.Immediate | undefined;
  return {
    soon() {
      pending ??= setImmediate(() => {
        pending = undefined;
        for (const listener of [...listeners]) listener();
      });
    },
    listen(listener: () => void) {
      // Each subscription is its own, even of one function.
      const own = () => listener();
      listeners.add(own);
      return () => {
        listeners.delete(own);
      };
    },
    stop() {
      clearImmediate(pending);
      listeners.clear();
    },
  };
}
