import type test from 'node:test';
import { createIdentityStore, type FedIdentityStore } from '../../../src/agent/identities/identity-store.js';
import { createKeeper, type NodeSvidKeeper } from '../../../src/agent/node/keeper.js';
import type { NodeSvid } from '../../../src/agent/server/api.js';
import { createServerConnection } from '../../../src/agent/server/connection.js';
import { keepInSync } from '../../../src/agent/sync/keep-in-sync.js';
import { silentLogger } from '../../../src/log.js';
import { parseSpiffeId } from '../../../src/spiffe/id.js';
import { buildCsr } from '../../../src/x509/csr.js';
import { generateKey } from '../../../src/x509/keys.js';
import { makeEntry } from '../../fakes/entries.js';
import { type ManualClock, manualClock, until } from '../../fakes/manual-clock.js';
import { bundlesMessage, type MemoryServer, memoryServer, wholeSet } from '../../fakes/memory-server.js';

export interface World {
  readonly clock: ManualClock;
  readonly server: MemoryServer;
  readonly store: FedIdentityStore;
  readonly keeper: NodeSvidKeeper;
  stop(): Promise<void>;
}

/** The agent's two loops with everything real between them but the network and the time. */
export function run(t: test.TestContext, prepare: (server: MemoryServer) => void = () => {}): World {
  const clock = manualClock();
  const server = memoryServer(clock);
  prepare(server);
  const log = silentLogger();
  const connection = createServerConnection(server.dial, clock);
  const random = () => 0.5;
  const store = createIdentityStore({
    clock,
    log,
    random,
    keyType: 'ec-p256',
    jwtCache: 10,
    server: () => connection.api(),
  });
  const nodeSvid = async (chain: readonly Uint8Array[], key: NodeSvid['key']): Promise<NodeSvid> => {
    const now = Math.floor(clock.now() / 1000);
    const id = parseSpiffeId('spiffe://example.org/spire/agent/join_token/one');
    return {
      id,
      chain,
      key,
      notBefore: now,
      expiresAt: now + server.nodeTtl,
      reattestable: server.reattestable,
    };
  };
  const keeper = createKeeper({
    clock,
    log,
    random,
    status: (change) => store.setStatus(change),
    async attest(signal) {
      const key = await generateKey('ec-p256');
      const opening = { type: 'join_token', payload: new Uint8Array(), csr: buildCsr({ key }) };
      const result = await server.dial(undefined).attest(opening, async () => new Uint8Array(), signal);
      return nodeSvid(result.chain, key);
    },
    async renew(_held, signal) {
      const key = await generateKey('ec-p256');
      return nodeSvid(await connection.api().renewAgent(buildCsr({ key }), signal), key);
    },
  });
  const ended = new AbortController();
  const ownBundle = () => {};
  const loops = Promise.all([
    keeper.run(ended.signal),
    keepInSync({ clock, log, store, random, keeper, connection, ownBundle }, ended.signal),
  ]);
  const stop = async () => {
    ended.abort();
    await loops;
    connection[Symbol.dispose]();
    store[Symbol.dispose]();
  };
  t.after(stop);
  return { clock, server, store, keeper, stop };
}

export async function serve({ server, store }: World, ...ids: string[]): Promise<void> {
  await until('a session is open', () => server.sessions.some(({ open }) => open));
  for (const id of ids) server.entries.set(id, makeEntry(id));
  server.live().push(bundlesMessage(server.authority.bundle()));
  server.live().push(wholeSet(server.entries.values(), 1n));
  await until('identities are held', () => ids.every((id) => store.x509(id) !== undefined));
}

export const count = (server: MemoryServer, name: string) =>
  server.calls.filter((call) => call === name).length;
