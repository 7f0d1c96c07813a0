import { type Clock, unixSeconds } from '../clock.js';
import type { ServerConfig } from '../config/server-config.js';
import { TouchmarkError } from '../errors.js';
import type { Logger } from '../log.js';
import { openAuthorityBook, type Purpose } from './authority-book.js';
import { withAppended } from './authority-bundle.js';
import { jwtAuthorityKind } from './authority-jwt.js';
import { createSlots, type Slots } from './authority-slots.js';
import { createTimekeeper } from './authority-timekeeper.js';
import { revokeUpstream, taintUpstream } from './authority-upstream.js';
import { x509AuthorityKind } from './authority-x509.js';
import type { Authority, AuthoritySlots } from './contract.js';
import type { Datastore } from './datastores/contract.js';
import { serialLane } from './datastores/serial-lane.js';
import type { KeyManager } from './key-managers/contract.js';

import type { UpstreamAuthority } from './upstream-authorities/contract.js';

export interface AuthorityDeps {
  readonly config: Pick<ServerConfig, 'trustDomain' | 'ca' | 'jwt' | 'bundleRefreshHint'>;
  readonly store: Datastore;
  readonly keys: KeyManager;
  readonly upstream?: UpstreamAuthority | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
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
  const now = () => unixSeconds(clock);
  const warn = (message: string, fields: Record<string, unknown>) => logger.warn(message, fields);
  const shared = { book, keys: deps.keys, now, warn };
  const { ttl, subject, keyType } = config.ca;
  const x509 = createSlots(x509AuthorityKind({ trustDomain, ttl, subject, upstream: deps.upstream }), {
    ...shared,
    keyType,
  });
  const jwt = createSlots(jwtAuthorityKind({ ttl }), { ...shared, keyType: config.jwt.keyType });
  const lane = serialLane();
  const timekeeper = createTimekeeper({ book, slots: { x509, jwt }, clock, logger, lane });

  if (book.stored().refreshHint !== bundleRefreshHint) {
    await book.change({ stored: { ...book.stored(), refreshHint: bundleRefreshHint } });
  }
  await x509.load();
  await jwt.load();
  await timekeeper.start();

  /** An operator's change moves what is due next. */
  function byHand<T>(
    purpose: Purpose,
    what: string,
    task: () => Promise<T & { id: string }>,
  ): Promise<T & { id: string }> {
    return lane.run(async () => {
      const record = await task();
      logger.info(`authority ${what}`, { purpose, id: record.id });
      timekeeper.reschedule();
      return record;
    });
  }

  function slotsOf<Signer>(purpose: Purpose, slots: Slots<Signer>): AuthoritySlots<Signer> {
    const local = (): void => {
      if (purpose === 'x509' && deps.upstream !== undefined) throw hasUpstream();
    };
    return {
      signer: () => {
        timekeeper.nudge();
        return slots.signer();
      },
      state: () => book.state(purpose),
      prepare: () => byHand(purpose, 'prepared', () => slots.prepare()),
      activate: (id) => byHand(purpose, 'activated', () => slots.activate(id)),
      taint: (id) =>
        byHand(purpose, 'tainted', async () => {
          local();
          return slots.taint(id);
        }),
      revoke: (id) =>
        byHand(purpose, 'revoked', async () => {
          local();
          return slots.revoke(id);
        }),
    };
  }

  return {
    x509: slotsOf('x509', x509),
    jwt: slotsOf('jwt', jwt),
    bundle: () => book.bundle(),
    bundleOf: (name) => book.bundleOf(name),
    foreignDomains: () => book.domains(),
    append: (additions) =>
      lane.run(async () => {
        const stored = withAppended(book.stored(), book.bundle(), additions);
        await book.change({ stored });
        timekeeper.reschedule();
        return book.bundle();
      }),
    taintUpstream: (id) => lane.run(() => taintUpstream(book, deps.upstream, id)),
    revokeUpstream: (id) => lane.run(() => revokeUpstream(book, deps.upstream, id)),
    onChange: book.onChange,
    async [Symbol.asyncDispose]() {
      timekeeper.stop();
      await lane.drained();
      book[Symbol.dispose]();
    },
  };
}

function hasUpstream(): TouchmarkError {
  return new TouchmarkError(
    'authority_has_upstream',
    'a local X.509 authority cannot be tainted or revoked where an upstream authority signs it',
  );
}
