import { type Clock, unixSeconds } from '../../clock.js';
import type { ServerConfig } from '../../config/server-config.js';
import { TouchmarkError } from '../../errors.js';
import type { Logger } from '../../log.js';
import type { Bundle } from '../../spiffe/bundle.js';
import type { Authority, AuthoritySlots } from '../contract.js';
import type { Datastore } from '../datastores/contract.js';
import { type SerialLane, serialLane } from '../datastores/serial-lane.js';
import type { KeyManager } from '../key-managers/contract.js';
import type { AuthorityRecord } from '../model.js';
import type { UpstreamAuthority } from '../upstream-authorities/contract.js';
import { type AuthorityBook, openAuthorityBook, type Purpose } from './book.js';
import { withAppended } from './bundle.js';
import { jwtAuthorityKind } from './jwt.js';
import { createSlots, type Slots } from './slots.js';
import { createTimekeeper, type Timekeeper } from './timekeeper.js';
import { revokeUpstream, taintUpstream } from './upstream.js';
import { x509AuthorityKind } from './x509.js';

export interface AuthorityDeps {
  readonly config: Pick<ServerConfig, 'trustDomain' | 'ca' | 'jwt' | 'bundleRefreshHint'>;
  readonly store: Datastore;
  readonly keys: KeyManager;
  readonly upstream?: UpstreamAuthority | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What the parts of one authority share. */
interface Parts {
  readonly deps: AuthorityDeps;
  readonly book: AuthorityBook;
  readonly lane: SerialLane;
  readonly timekeeper: Timekeeper;
}

/**
 * The signing authorities of the trust domain and its bundle, ready to sign when this resolves. Every change, by hand or
 * by time, runs in one lane; the timer is set to the next moment at which something is due.
 * @throws TouchmarkError when no authority can be made, or what the datastore, the key manager or the upstream authority throws
 */
export async function openAuthority(deps: AuthorityDeps): Promise<Authority> {
  const { config, store, clock, logger } = deps;
  const { trustDomain, bundleRefreshHint } = config;
  const book = await openAuthorityBook(store, trustDomain, bundleRefreshHint);
  const lane = serialLane();
  const slots = createBothSlots(deps, book);
  const timekeeper = createTimekeeper({ book, slots, clock, logger, lane });
  try {
    if (book.stored().refreshHint !== bundleRefreshHint) {
      await book.change({ stored: { ...book.stored(), refreshHint: bundleRefreshHint } });
    }
    await slots.x509.load();
    await slots.jwt.load();
    await timekeeper.start();
  } catch (error) {
    book[Symbol.dispose]();
    throw error;
  }
  const parts: Parts = { deps, book, lane, timekeeper };
  return {
    x509: slotsByHand(parts, 'x509', slots.x509, deps.upstream !== undefined),
    jwt: slotsByHand(parts, 'jwt', slots.jwt, false),
    ...published(parts),
    taintUpstream: (id) => lane.run(() => taintUpstream(book, deps.upstream, id)),
    revokeUpstream: (id) => lane.run(() => revokeUpstream(book, deps.upstream, id)),
    async [Symbol.asyncDispose]() {
      timekeeper.stop();
      await lane.drained();
      book[Symbol.dispose]();
    },
  };
}

function createBothSlots(deps: AuthorityDeps, book: AuthorityBook) {
  const { config, keys, clock, logger, upstream } = deps;
  const { ttl, subject, keyType } = config.ca;
  const warn = (message: string, fields: Record<string, unknown>) => logger.warn(message, fields);
  const shared = { book, keys, now: () => unixSeconds(clock), warn };
  const x509 = x509AuthorityKind({ trustDomain: config.trustDomain, ttl, subject, upstream });
  return {
    x509: createSlots(x509, { ...shared, keyType }),
    jwt: createSlots(jwtAuthorityKind({ ttl }), { ...shared, keyType: config.jwt.keyType }),
  };
}

/** @param upstreamSigns then the upstream authority is tainted and revoked, never what it signed */
function slotsByHand<Signer>(
  { deps, book, lane, timekeeper }: Parts,
  purpose: Purpose,
  slots: Slots<Signer>,
  upstreamSigns: boolean,
): AuthoritySlots<Signer> {
  const change = (what: string, task: () => Promise<AuthorityRecord>): Promise<AuthorityRecord> =>
    lane.run(async () => {
      const record = await task();
      deps.logger.info(`authority ${what}`, { purpose, id: record.id, by: 'hand' });
      timekeeper.reschedule();
      return record;
    });
  const local = async (task: () => Promise<AuthorityRecord>): Promise<AuthorityRecord> => {
    if (upstreamSigns) throw hasUpstream();
    return task();
  };
  return {
    signer: () => {
      timekeeper.nudge();
      return slots.signer();
    },
    signers: () => slots.signers(),
    state: () => book.state(purpose),
    prepare: () => change('prepared', () => slots.prepare()),
    activate: (id) => change('activated', () => slots.activate(id)),
    taint: (id) => change('tainted', () => local(() => slots.taint(id))),
    revoke: (id) => change('revoked', () => local(() => slots.revoke(id))),
  };
}

function published({ book, lane, timekeeper }: Parts) {
  return {
    bundle: () => book.bundle(),
    bundleOf: (name: string) => book.bundleOf(name),
    foreignDomains: () => book.domains(),
    append: (additions: Pick<Bundle, 'x509Authorities' | 'jwtAuthorities'>) =>
      lane.run(async () => {
        await book.change({ stored: withAppended(book.stored(), book.bundle(), additions) });
        timekeeper.reschedule();
        return book.bundle();
      }),
    onChange: book.onChange,
  };
}

function hasUpstream(): TouchmarkError {
  return new TouchmarkError(
    'authority_has_upstream',
    'a local X.509 authority cannot be tainted or revoked where an upstream authority signs it',
  );
}
