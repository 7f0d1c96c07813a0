/**
 * The deny feed and the CRLs as they are now. Signed anew when somebody was withdrawn, when an authority came or went, and at half
 * of their life; at most once a second, however much happens; never while an SVID is being issued.
 */
import { setImmediate } from 'node:timers/promises';
import { type Clock, unixSeconds } from '../../clock.js';
import { messageOf } from '../../errors.js';
import type { Logger } from '../../log.js';
import { signDenyFeed } from '../../spiffe/deny-feed.js';
import type { TrustDomain } from '../../spiffe/id.js';
import { makeSigner } from '../../x509/certificate.js';
import { signCrl } from '../../x509/crl.js';
import { BACKDATE_SECONDS } from '../authority/x509.js';
import type { Authority } from '../contract.js';
import type { Datastore } from '../datastores/contract.js';
import { listeners } from '../datastores/listeners.js';
import { serialLane } from '../datastores/serial-lane.js';
import type { Serials } from '../issuing/serials.js';
import { crlEntries, type DeniedSerials, deniedNodes, deniedSerials, feedSerials } from './content.js';
import { isBelieved, type KeptCrl, keptSequence, type LastPublication, readLast, writeLast } from './last.js';
import type { Withdrawals } from './withdrawals.js';

export interface PublisherDeps {
  readonly store: Datastore;
  readonly authority: Authority;
  readonly serials: Pick<Serials, 'withdrawn'>;
  readonly withdrawals: Pick<Withdrawals, 'all' | 'onChange'>;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly log: Logger;
  /** Seconds from one feed to the time by which the next is promised. */
  readonly lifetime: number;
}

export interface Publication {
  readonly sequence: number;
  /** Compact JWS. */
  readonly feed: string;
  /** One for each X.509 authority out of which something may be valid or soon will be. */
  readonly crls: readonly PublishedCrl[];
}

export interface PublishedCrl {
  /** `AuthorityRecord.id`: the hex subject key identifier. */
  readonly authorityId: string;
  readonly der: Uint8Array;
}

export interface DenyPublisher extends AsyncDisposable {
  current(): Publication;
  onChange(listener: () => void): () => void;
}

interface Press {
  readonly deps: PublisherDeps;
  readonly lane: ReturnType<typeof serialLane>;
  readonly changes: ReturnType<typeof listeners<void>>;
  last: LastPublication;
  current: Publication;
  /** What the publication depends on beside the withdrawals. */
  authorities: string;
  publishedAt: number;
  /** Unix milliseconds at which half of its life is over; infinite while the next one is under way. */
  dueAt: number;
  /** How many serial numbers it lists. */
  listed: number;
  /** Something changed since the last one began. */
  dirty: boolean;
  cancel: () => void;
  stopped: boolean;
}

const LEAST_MS = 1_000;
/** Lists of more serial numbers than this, half a megabyte, are signed and sent around less often. */
const LARGE = 10_000;
const LEAST_LARGE_MS = 5_000;
const RETRY_MS = 5_000;

/** A first publication is out when it resolves. */
export async function openDenyPublisher(deps: PublisherDeps): Promise<DenyPublisher> {
  const press: Press = {
    deps,
    lane: serialLane(),
    changes: listeners<void>(),
    last: await readLast(deps.store),
    current: { sequence: 0, feed: '', crls: [] },
    authorities: '',
    publishedAt: 0,
    dueAt: Number.POSITIVE_INFINITY,
    listed: 0,
    dirty: false,
    cancel: () => {},
    stopped: false,
  };
  await press.lane.run(() => publish(press));
  const unsubscribe = [
    deps.withdrawals.onChange(() => soon(press)),
    deps.authority.onChange(() => {
      if (authoritiesOf(deps) !== press.authorities) soon(press);
    }),
  ];
  return {
    current() {
      // A timer may be late, after a suspended night for example.
      if (deps.clock.now() >= press.dueAt) publishIn(press, 0);
      return press.current;
    },
    onChange: press.changes.add,
    async [Symbol.asyncDispose]() {
      press.stopped = true;
      press.cancel();
      for (const stop of unsubscribe) stop();
      await press.lane.drained();
    },
  };
}

function soon(press: Press): void {
  const { clock } = press.deps;
  press.dirty = true;
  const since = clock.now() - press.publishedAt;
  const least = press.listed > LARGE ? LEAST_LARGE_MS : LEAST_MS;
  // A clock that was set back must not hold a withdrawal up.
  publishIn(press, since < 0 ? least : Math.max(0, least - since));
}

function publishIn(press: Press, delayMs: number): void {
  press.cancel();
  press.dueAt = Number.POSITIVE_INFINITY;
  if (press.stopped) return;
  press.cancel = press.deps.clock.after(delayMs, () => void press.lane.run(() => tryToPublish(press)));
}

async function tryToPublish(press: Press): Promise<void> {
  if (press.stopped) return;
  try {
    await publish(press);
  } catch (error) {
    press.deps.log.error('the deny feed could not be signed anew', { error: messageOf(error) });
    publishIn(press, RETRY_MS);
  }
}

/** What would be signed otherwise when it changes. */
function authoritiesOf({ authority }: PublisherDeps): string {
  const ids = authority.x509.signers().map(({ id }) => id);
  return [...ids.sort(), authority.jwt.state().active?.id, authority.bundle().sequence].join(' ');
}

async function publish(press: Press): Promise<void> {
  const { deps } = press;
  const { clock, serials, withdrawals, store, log } = deps;
  const now = unixSeconds(clock);
  press.authorities = authoritiesOf(deps);
  press.dirty = false;
  const sequence = keptSequence(press.last, now);
  const denied = deniedSerials(serials.withdrawn());
  if (denied.omitted > 0) {
    log.error('more SVIDs are withdrawn than the deny feed holds: revoke the authority', {
      omitted: denied.omitted,
    });
  }
  const nodes = deniedNodes(withdrawals.all());
  const kept = await signCrls(press, denied, sequence, now);
  const feed = signFeed(deps, { sequence, now }, denied, nodes);
  press.last = { sequence, crls: kept };
  // A sequence that cannot be written down follows the clock all the same.
  await writeLast(store, press.last).catch((error: unknown) => {
    log.error('the sequence of the deny feed could not be written down', { error: messageOf(error) });
  });
  const crls = kept.map(({ signer: { id: authorityId }, der }) => ({ authorityId, der }));
  press.current = { sequence, feed, crls };
  press.publishedAt = clock.now();
  press.listed = [...denied.byAuthority.values()].reduce((sum, list) => sum + list.length, 0);
  if (press.dirty) soon(press);
  else {
    const halfLife = (deps.lifetime * 1000) / 2;
    publishIn(press, halfLife);
    press.dueAt = press.publishedAt + halfLife;
  }
  press.changes.tell();
}

function signFeed(
  { authority, trustDomain: domain, lifetime }: PublisherDeps,
  { sequence, now }: { sequence: number; now: number },
  denied: DeniedSerials,
  nodes: ReturnType<typeof deniedNodes>,
): string {
  const { id: keyId, key, algorithm: alg } = authority.jwt.signer();
  const times = { thisUpdate: now, nextUpdate: now + lifetime };
  const lists = { nodes, serials: feedSerials(denied), serialsOmitted: denied.omitted };
  return signDenyFeed({ domain, sequence, ...times, ...lists }, { key, keyId, alg });
}

/**
 * Of an authority whose key is gone the last list stays, which lasts as long as the authority. Between two long lists others
 * have their turn.
 */
async function signCrls(
  { deps, last }: Press,
  denied: DeniedSerials,
  sequence: number,
  now: number,
): Promise<KeptCrl[]> {
  const { x509 } = deps.authority;
  const { active, prepared } = x509.state();
  const bundle = deps.authority.bundle();
  const signers = x509.signers().filter((signer) => isBelieved(signer, bundle, now));
  const held = new Set(signers.map(({ id }) => id));
  const crls = last.crls.filter(({ signer }) => !held.has(signer.id) && isBelieved(signer, bundle, now));
  for (const signer of signers) {
    await setImmediate();
    const next = now + deps.lifetime;
    // One that signs no SVIDs any more may lose its key: its last list must not run out before it does.
    const live = signer.id === active?.id || signer.id === prepared?.id;
    const nextUpdate = live ? next : Math.max(next, signer.notAfter);
    // A checker whose clock is behind would take no list, and so no SVID, until it has caught up.
    const thisUpdate = now - BACKDATE_SECONDS;
    const entries = crlEntries(denied, signer.id);
    const template = { number: BigInt(sequence), thisUpdate, nextUpdate, entries };
    crls.push({ signer, der: signCrl(template, makeSigner(signer.key, signer.certificate)) });
  }
  await setImmediate();
  return crls.sort((a, b) => (a.signer.id < b.signer.id ? -1 : 1));
}
