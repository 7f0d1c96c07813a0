import assert from 'node:assert/strict';
import test from 'node:test';
import { createIdentityStore, type FedIdentityStore } from '../../../src/agent/identities/identity-store.js';
import { createKeeper, type NodeSvidKeeper } from '../../../src/agent/node/keeper.js';
import type { NodeSvid } from '../../../src/agent/server/api.js';
import { createServerConnection } from '../../../src/agent/server/connection.js';
import { keepInSync } from '../../../src/agent/sync/keep-in-sync.js';
import { POLL_MS } from '../../../src/agent/sync/poll-server.js';
import { TouchmarkError } from '../../../src/errors.js';
import { silentLogger } from '../../../src/log.js';
import { parseSpiffeId, parseTrustDomain } from '../../../src/spiffe/id.js';
import { buildCsr } from '../../../src/x509/csr.js';
import { generateKey } from '../../../src/x509/keys.js';
import { makeEntry } from '../../fakes/entries.js';
import { type ManualClock, manualClock, settle, until } from '../../fakes/manual-clock.js';
import {
  bundlesMessage,
  delta,
  type MemoryServer,
  memoryServer,
  wholeSet,
} from '../../fakes/memory-server.js';

interface World {
  readonly clock: ManualClock;
  readonly server: MemoryServer;
  readonly store: FedIdentityStore;
  readonly keeper: NodeSvidKeeper;
  stop(): Promise<void>;
}

/** The agent's two loops with everything real between them but the network and the time. */
function run(t: test.TestContext, prepare: (server: MemoryServer) => void = () => {}): World {
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

async function serve({ server, store }: World, ...ids: string[]): Promise<void> {
  await until('a session is open', () => server.sessions.some(({ open }) => open));
  for (const id of ids) server.entries.set(id, makeEntry(id));
  server.live().push(bundlesMessage(server.authority.bundle()));
  server.live().push(wholeSet(server.entries.values(), 1n));
  await until('identities are held', () => ids.every((id) => store.x509(id) !== undefined));
}

const count = (server: MemoryServer, name: string) => server.calls.filter((call) => call === name).length;

test('the agent attests, opens a session with its SVID and serves what is pushed', async (t) => {
  const world = run(t);
  await serve(world, 'a');
  const { server, store, keeper } = world;
  assert.equal(server.live().svid, keeper.svid.value);
  assert.deepEqual(
    [store.status.phase, store.status.connected, store.status.id],
    ['serving', true, 'spiffe://example.org/spire/agent/join_token/one'],
  );
  server.entries.set('b', makeEntry('b'));
  const before = process.hrtime.bigint();
  server.live().push(delta(2n, [makeEntry('b')]));
  await until('signed', () => store.x509('b') !== undefined);
  assert.ok(
    process.hrtime.bigint() - before < 500_000_000n,
    'a change is signed at once, not at the next look',
  );
});

test('a server that is away is tried again with waits that grow, and found at once after that', async (t) => {
  const world = run(t, (server) => {
    server.away = true;
  });
  const { clock, server, store } = world;
  await until('tried once', () => count(server, 'attest') === 1);
  await clock.pass(60_000, 500);
  const tries = count(server, 'attest');
  assert.ok(tries >= 5 && tries <= 8, `${tries} attempts in a minute`);
  assert.equal(store.status.phase, 'starting');
  server.away = false;
  await clock.pass(30_000, 5_000);
  await serve(world, 'a');
});

test('a lost session leaves the identities in place, and the next one resumes', async (t) => {
  const world = run(t);
  await serve(world, 'a');
  const { clock, server, store } = world;
  server.away = true;
  server.breakSessions();
  await until('cut off', () => !store.status.connected);
  assert.equal(store.status.phase, 'serving');
  assert.ok(store.x509('a') !== undefined);
  await assert.rejects(store.jwt(makeEntry('a'), ['x'], new AbortController().signal), {
    code: 'svid_unavailable',
    message: 'no token for spiffe://example.org/workload/a: there is no connection to the server',
  });
  server.away = false;
  await clock.pass(2_000, 500);
  await until('a session is open', () => server.sessions.at(-1)?.open === true);
  assert.deepEqual(server.live().hello, { revision: 1n, epoch: 'store-1', bundleSequence: 1n });
  server.live().push(delta(1n, []));
  await until('connected', () => store.status.connected);
  assert.ok((await store.jwt(makeEntry('a'), ['x'], new AbortController().signal)).token !== '');
});

test('after a renewal the new session is up before the old one ends', async (t) => {
  const world = run(t, (server) => {
    server.reattestable = false;
  });
  await serve(world, 'a');
  const { clock, server, store, keeper } = world;
  const first = keeper.svid.value;
  const old = server.live();
  await clock.pass(1_801_000, 20_000);
  await until('renewed', () => keeper.svid.value !== first && server.sessions.length === 2);
  assert.deepEqual([count(server, 'attest'), count(server, 'renewAgent')], [1, 1]);
  assert.equal(old.open, true);
  old.push(delta(2n, [makeEntry('late')]));
  server.entries.set('late', makeEntry('late'));
  await until('the old session still counts', () => store.entries().has('late'));
  assert.deepEqual(server.live().hello.revision, 1n);
  server.live().push(delta(2n, [makeEntry('late')]));
  await until('handed over', () => !old.open);
  assert.equal(store.status.connected, true);
  assert.equal(server.live().svid, keeper.svid.value);
});

test('a chip renews by attesting again', async (t) => {
  const world = run(t);
  await serve(world);
  await world.clock.pass(1_801_000, 20_000);
  await until('attested again', () => count(world.server, 'attest') === 2);
  assert.equal(count(world.server, 'renewAgent'), 0);
});

test('a new session that fails leaves the old one in force', async (t) => {
  const world = run(t);
  await serve(world, 'a');
  const { clock, server, store } = world;
  const old = server.live();
  server.refuseSession = new TouchmarkError('server_away', 'busy');
  await clock.pass(1_801_000, 20_000);
  await until('tried', () => count(server, 'openSession') >= 2);
  await settle();
  assert.deepEqual([old.open, store.status.connected], [true, true]);
  server.refuseSession = undefined;
  await clock.pass(1_000);
  await until('tried again', () => server.sessions.length === 2);
  server.live().push(delta(1n, []));
  await until('handed over', () => !old.open);
});

test('an SVID that the server no longer takes is replaced by a new attestation', async (t) => {
  const world = run(t);
  await serve(world, 'a');
  const { server, store, keeper } = world;
  const first = keeper.svid.value;
  server.live().end(new TouchmarkError('node_refused', 'the server says: not attested'));
  await until('attested again', () => keeper.svid.value !== undefined && keeper.svid.value !== first);
  await until('a new session', () => server.sessions.length === 2);
  assert.ok(store.x509('a') !== undefined, 'identities stay while the node proves itself again');
});

test('two agents of one chip, each of which ends the other, do not race', async (t) => {
  const world = run(t);
  const { clock, server } = world;
  for (let second = 0; second < 60; second += 1) {
    await settle();
    for (const session of server.sessions) {
      session.push({ kind: 'heartbeat', serverTime: 0 });
      session.end(new TouchmarkError('node_refused', 'the server says: not active'));
    }
    await clock.pass(1_000, 500);
  }
  const tries = count(server, 'attest');
  assert.ok(tries >= 4 && tries <= 10, `${tries} attestations in a minute`);
});

test('a ban takes everything away, and the agent stays and asks again slowly', async (t) => {
  const world = run(t);
  await serve(world, 'a');
  const { clock, server, store } = world;
  const banned = new TouchmarkError('node_banned', 'the server says: agent is banned');
  server.refuseAttestation = banned;
  server.live().end(banned);
  await until('withdrawn', () => store.status.phase === 'withdrawn');
  assert.deepEqual(store.status.reasons, [{ code: 'node_banned', message: banned.message }]);
  assert.deepEqual([store.status.state, store.x509('a'), store.entries().size], ['banned', undefined, 0]);
  await clock.pass(600_000, 5_000);
  const tries = count(server, 'attest');
  assert.ok(tries >= 3 && tries <= 7, `${tries} attempts in ten minutes`);
  server.refuseAttestation = undefined;
  await clock.pass(300_000, 20_000);
  await until('a new session', () => server.sessions.length === 2);
  server.live().push({ kind: 'verdict', state: 'trusted', reasons: [], reattestAt: 0, graceEndsAt: 0 });
  server.live().push(wholeSet(server.entries.values(), 2n));
  await until('serving again', () => store.status.phase === 'serving' && store.x509('a') !== undefined);
});

test('an agent whose SVID ran out while cut off stays, and attests when the server is back', async (t) => {
  const world = run(t);
  await serve(world, 'a');
  const { clock, server, store, keeper } = world;
  server.away = true;
  server.breakSessions();
  await clock.pass(3_601_000, 20_000);
  assert.equal(keeper.svid.value, undefined);
  assert.equal(store.x509('a'), undefined);
  server.away = false;
  await clock.pass(31_000, 1_000);
  await until('a new session', () => server.sessions.at(-1)?.open === true);
  server.live().push(delta(1n, []));
  await until('connected', () => store.status.connected);
  await clock.pass(1);
  await until('signed again', () => store.x509('a') !== undefined);
});

test('the server sets an earlier time for the next attestation', async (t) => {
  const world = run(t);
  await serve(world);
  const { clock, server } = world;
  const reattestAt = clock.now() / 1000 + 60;
  server.live().push({ kind: 'verdict', state: 'trusted', reasons: [], reattestAt, graceEndsAt: 0 });
  await settle();
  await clock.pass(59_000, 20_000);
  assert.equal(count(server, 'attest'), 1);
  clock.advance(2_000);
  await until('attested again', () => count(server, 'attest') === 2);
});

test('a server without sessions is polled every five seconds, with the foreign bundles that entries need', async (t) => {
  const world = run(t, (server) => {
    server.refuseSession = new TouchmarkError('server_unimplemented', 'unknown service');
    const federatesWith = [parseTrustDomain('partner.example')];
    server.entries.set('a', makeEntry('a', { federatesWith }));
    server.federated.set('partner.example', {
      ...server.authority.bundle(),
      trustDomain: parseTrustDomain('partner.example'),
    });
  });
  const { clock, server, store } = world;
  await until('serving', () => store.status.phase === 'serving' && store.x509('a') !== undefined);
  assert.deepEqual([...(store.bundles?.federated.keys() ?? [])], ['partner.example']);
  const version = store.version;
  await clock.pass(POLL_MS * 3, POLL_MS);
  assert.equal(count(server, 'syncEntries'), 4);
  assert.equal(store.version, version, 'nothing changed, so nothing is told');
  server.entries.delete('a');
  await clock.pass(POLL_MS);
  await until('removed', () => store.entries().size === 0);
  server.away = true;
  await clock.pass(POLL_MS);
  await until('cut off', () => !store.status.connected);
  server.away = false;
  await clock.pass(2_000, 500);
  await until('connected', () => store.status.connected);
});

test('when the signal ends both loops end, whatever they wait for', async (t) => {
  const world = run(t, (server) => {
    server.away = true;
  });
  await settle();
  await world.stop();
  assert.equal(world.clock.timers, 0);
});
