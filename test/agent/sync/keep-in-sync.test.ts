import assert from 'node:assert/strict';
import test from 'node:test';
import { TouchmarkError } from '../../../src/errors.js';
import { makeEntry } from '../../fakes/entries.js';
import { settle, until } from '../../fakes/manual-clock.js';
import { delta } from '../../fakes/memory-server.js';
import { count, run, serve } from './world.js';

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
    message: 'no token for spiffe://example.org/workload/a: the server cannot be reached to sign',
  });
  server.away = false;
  await clock.pass(2_000, 500);
  await until('a session is open', () => server.sessions.at(-1)?.open === true);
  assert.deepEqual(server.live().hello, { revision: 1n, epoch: 'store-1', bundleSequence: 1n, features: [] });
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
