import assert from 'node:assert/strict';
import test from 'node:test';
import { HEARTBEAT_MS } from '../../../src/agent/sync/pulse.js';
import { runSession, type SessionDeps } from '../../../src/agent/sync/session.js';
import { TouchmarkError } from '../../../src/errors.js';
import { silentLogger } from '../../../src/log.js';
import { makeEntry } from '../../fakes/entries.js';
import { fakeIdentityStore } from '../../fakes/identity-store.js';
import { manualClock, settle, until } from '../../fakes/manual-clock.js';
import { bundlesMessage, delta, memoryServer, wholeSet } from '../../fakes/memory-server.js';

function begin(t: test.TestContext) {
  const clock = manualClock();
  const store = fakeIdentityStore({ clock });
  const server = memoryServer(clock);
  // One authority signs on both sides.
  Object.assign(server, { authority: store.authority, answersBeats: false });
  t.after(() => store[Symbol.dispose]());
  const ended = new AbortController();
  t.after(() => ended.abort());
  const told = { established: 0, own: 0, reattestAt: [] as number[] };
  const deps: SessionDeps = {
    clock,
    store,
    log: silentLogger(),
    random: () => 0.5,
    ownBundle: () => {
      told.own += 1;
    },
    reattestAt: (time) => told.reattestAt.push(time),
  };
  const api = server.dial(undefined).api;
  const run = () => {
    const running = runSession(api, deps, ended.signal, () => {
      told.established += 1;
    });
    // The end of the test ends it too, whether anybody waits for that or not.
    running.catch(() => {});
    return running;
  };
  return { clock, store, server, told, run, stop: () => ended.abort() };
}

test('a session says what is held, takes in the whole set and begins to serve', async (t) => {
  const { store, server, told, run } = begin(t);
  const running = run();
  const session = server.live();
  assert.deepEqual(session.hello, { revision: 0n, epoch: '', bundleSequence: 0n, features: [] });
  assert.equal(store.status.phase, 'starting');
  session.push(wholeSet([makeEntry('a')], 5n));
  session.push(bundlesMessage(store.authority.bundle()));
  await until('serving', () => store.status.phase === 'serving');
  await until('signed', () => store.x509('a') !== undefined);
  assert.deepEqual(store.held, { revision: 5n, epoch: 'store-1' });
  assert.deepEqual([told.established, told.own], [1, 1]);
  assert.equal(store.bundles?.crls.length, 1);
  session.end();
  await running;
});

test('a change that comes in several messages takes effect with the last of them', async (t) => {
  const { store, server, run } = begin(t);
  void run();
  const session = server.live();
  session.push(wholeSet([makeEntry('a')], 1n));
  session.push(delta(2n, [makeEntry('b')], [], true));
  session.push(delta(2n, [makeEntry('c')], ['a'], true));
  await settle();
  assert.deepEqual([...store.entries().keys()], ['a']);
  session.push(delta(2n, [], []));
  await settle();
  assert.deepEqual([...store.entries().keys()], ['b', 'c']);
  assert.equal(store.held.revision, 2n);
});

test('the next session resumes from the revision and bundle that are held', async (t) => {
  const { store, server, run } = begin(t);
  const first = run();
  server.live().push(wholeSet([makeEntry('a')], 9n));
  server.live().push(bundlesMessage(store.authority.bundle()));
  await settle();
  server.live().end();
  await first;
  void run();
  assert.deepEqual(server.live().hello, { revision: 9n, epoch: 'store-1', bundleSequence: 1n, features: [] });
});

test('a change that is torn apart is asked for again, and the second time ends the session', async (t) => {
  const { store, server, run } = begin(t);
  const running = run();
  const session = server.live();
  session.push(delta(2n, [makeEntry('b')], [], true));
  session.push(delta(3n, [makeEntry('c')]));
  await settle();
  assert.deepEqual(session.failures, ['revision 3 in the middle of revision 2']);
  assert.equal(store.entries().size, 0);
  session.push({ kind: 'unusable', why: 'nonsense' });
  await assert.rejects(running, {
    code: 'server_answer_invalid',
    message: 'the server keeps sending nonsense',
  });
  assert.equal(session.open, false);
});

test('entries without the name of their store are not taken', async (t) => {
  const { store, server, run } = begin(t);
  void run();
  server.live().push({ ...wholeSet([makeEntry('a')], 1n), epoch: '' });
  await settle();
  assert.deepEqual(server.live().failures, ['entries without the name of their store']);
  assert.equal(store.entries().size, 0);
});

test('the agent beats about every fifteen seconds and gives up a server that is silent for three', async (t) => {
  const { clock, server, run } = begin(t);
  const running = run();
  const lost = assert.rejects(running, {
    code: 'session_lost',
    message: 'the server was silent for 45 seconds',
  });
  const session = server.live();
  session.push({ kind: 'heartbeat', serverTime: 0 });
  await settle();
  clock.advance(HEARTBEAT_MS * 2.5);
  assert.equal(session.beats, 2);
  session.push({ kind: 'heartbeat', serverTime: 0 });
  await settle();
  clock.advance(HEARTBEAT_MS * 2.9);
  assert.equal(session.open, true);
  clock.advance(HEARTBEAT_MS * 0.1);
  assert.equal(session.open, false);
  await lost;
  assert.equal(clock.timers, 0);
});

test('a verdict is remembered and its time of re-attestation passed on', async (t) => {
  const { store, server, told, run } = begin(t);
  void run();
  const reasons = [{ code: 'pcr_changed', message: 'PCR 7 changed' }];
  server.live().push({ kind: 'verdict', state: 'suspect', reasons, reattestAt: 77, graceEndsAt: 0 });
  await settle();
  assert.deepEqual([store.status.state, store.status.reasons, told.reattestAt], ['suspect', reasons, [77]]);
});

test('a withdrawal empties the store, and only a new whole set under a good verdict brings service back', async (t) => {
  const { store, server, run } = begin(t);
  void run();
  const session = server.live();
  const reasons = [{ code: 'pcr_changed', message: 'PCR 7 changed' }];
  session.push(bundlesMessage(store.authority.bundle()));
  session.push(wholeSet([makeEntry('a')], 1n));
  await until('signed', () => store.x509('a') !== undefined);
  session.push({ kind: 'verdict', state: 'drifted', reasons, reattestAt: 0, graceEndsAt: 0 });
  session.push({ kind: 'withdraw', reasons });
  await settle();
  assert.deepEqual([store.status.phase, store.entries().size, store.x509('a')], ['withdrawn', 0, undefined]);
  assert.deepEqual([store.status.state, store.status.reasons], ['drifted', reasons]);
  session.push(wholeSet([makeEntry('a')], 2n));
  await settle();
  assert.equal(store.status.phase, 'withdrawn');
  session.push({ kind: 'verdict', state: 'trusted', reasons: [], reattestAt: 0, graceEndsAt: 0 });
  session.push(wholeSet([makeEntry('a')], 3n));
  await until('serving again', () => store.status.phase === 'serving' && store.x509('a') !== undefined);
});

test('what the server refuses is passed on as it is', async (t) => {
  const { server, run } = begin(t);
  server.refuseSession = new TouchmarkError('node_banned', 'the server says: banned');
  await assert.rejects(run(), { code: 'node_banned', message: 'the server says: banned' });
});

test('an own bundle that cannot be believed ends the session', async (t) => {
  const { store, server, run } = begin(t);
  const running = run();
  server.live().push({ kind: 'bundles', own: undefined, federated: [], crls: [] });
  await assert.rejects(running, { code: 'server_answer_invalid', message: 'the server sent no own bundle' });
  assert.equal(store.bundles, undefined);
});
