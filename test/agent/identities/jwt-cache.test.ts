import assert from 'node:assert/strict';
import test from 'node:test';
import { TouchmarkError } from '../../../src/errors.js';
import { makeEntry } from '../../fakes/entries.js';
import { type FakeIdentityStore, fakeIdentityStore } from '../../fakes/identity-store.js';
import { type ManualClock, manualClock, until } from '../../fakes/manual-clock.js';
import { because } from '../../support/because.js';

const never = new AbortController().signal;
const entry = makeEntry('a');

function serving(t: test.TestContext, jwtCache = 100): { store: FakeIdentityStore; clock: ManualClock } {
  const clock = manualClock();
  const store = fakeIdentityStore({ clock, jwtCache });
  t.after(() => store[Symbol.dispose]());
  store.serve();
  store.put(entry);
  return { store, clock };
}

test('a token is asked for once, whatever the order and repetition of its audiences', async (t) => {
  const { store } = serving(t);
  const first = await store.jwt(entry, ['x', 'y'], never);
  assert.equal(await store.jwt(entry, ['y', 'x', 'y'], never), first);
  assert.equal(first.id, 'spiffe://example.org/workload/a');
  assert.deepEqual(store.server.tokens, [{ entryId: 'a', audience: ['x', 'y'] }]);
  await store.jwt(entry, ['x'], never);
  assert.equal(store.server.tokens.length, 2);
});

test('many who ask at once share one call', async (t) => {
  const { store } = serving(t);
  const tokens = await Promise.all(Array.from({ length: 50 }, () => store.jwt(entry, ['x'], never)));
  assert.equal(new Set(tokens.map(({ token }) => token)).size, 1);
  assert.equal(store.server.tokens.length, 1);
});

test('one caller who goes away does not take the token from the others', async (t) => {
  const { store } = serving(t);
  let open = () => {};
  store.server.hold = new Promise((resolve) => {
    open = resolve;
  });
  const leaving = new AbortController();
  const left = store.jwt(entry, ['x'], leaving.signal);
  const stays = store.jwt(entry, ['x'], never);
  await until('asked', () => store.server.tokens.length === 1);
  leaving.abort();
  await assert.rejects(left, { code: 'svid_unavailable', message: 'the caller went away' });
  open();
  assert.equal((await stays).hint, '');
});

test('a token is refreshed after half its life, and the old one serves while the server is away', async (t) => {
  const { store, clock } = serving(t);
  const first = await store.jwt(entry, ['x'], never);
  clock.advance(149_000);
  assert.equal(await store.jwt(entry, ['x'], never), first);
  clock.advance(2_000);
  store.server.fail = new TouchmarkError('server_away', 'the server is away');
  assert.equal(await store.jwt(entry, ['x'], never), first);
  store.server.fail = undefined;
  const second = await store.jwt(entry, ['x'], never);
  assert.notEqual(second.token, first.token);
  store.server.fail = new TouchmarkError('server_away', 'the server is away');
  clock.advance(301_000);
  await assert.rejects(store.jwt(entry, ['x'], never), {
    code: 'svid_unavailable',
    message: 'no token for spiffe://example.org/workload/a: the server cannot be reached to sign',
  });
});

test('a refusal of the server is not covered up by an older token', async (t) => {
  const { store, clock } = serving(t);
  await store.jwt(entry, ['x'], never);
  clock.advance(200_000);
  store.server.fail = new TouchmarkError('server_refused', 'not for you');
  await assert.rejects(store.jwt(entry, ['x'], never), because(/^not for you$/));
});

test('a token of a tainted or removed key is not given out again', async (t) => {
  const { store } = serving(t);
  const first = await store.jwt(entry, ['x'], never);
  store.authority.rotate();
  store.publish();
  assert.equal(await store.jwt(entry, ['x'], never), first);
  store.authority.taintOld();
  store.publish();
  const second = await store.jwt(entry, ['x'], never);
  assert.notEqual(second.token, first.token);
  store.authority.rotate();
  store.authority.removeOld();
  store.publish();
  assert.notEqual((await store.jwt(entry, ['x'], never)).token, second.token);
});

test('a token of a key that is not published yet is passed on but not kept', async (t) => {
  const { store } = serving(t);
  store.authority.rotate();
  await store.jwt(entry, ['x'], never);
  assert.equal(store.counts.jwt, 0);
  store.publish();
  await store.jwt(entry, ['x'], never);
  assert.equal(store.counts.jwt, 1);
});

test('a token with its own jti is never shared', async (t) => {
  const { store } = serving(t);
  const unique = makeEntry('b', { jwtSvidIncludeJti: true });
  store.put(unique);
  const [one, two] = await Promise.all([store.jwt(unique, ['x'], never), store.jwt(unique, ['x'], never)]);
  assert.notEqual(one.token, two.token);
  assert.equal(store.counts.jwt, 0);
});

test('the cache keeps no more than its limit, the least used goes first', async (t) => {
  const { store } = serving(t, 2);
  await store.jwt(entry, ['x'], never);
  await store.jwt(entry, ['y'], never);
  await store.jwt(entry, ['x'], never);
  await store.jwt(entry, ['z'], never);
  assert.equal(store.counts.jwt, 2);
  await store.jwt(entry, ['x'], never);
  assert.equal(store.server.tokens.length, 3);
});

test('a changed entry has new tokens, a removed one none', async (t) => {
  const { store } = serving(t);
  await store.jwt(entry, ['x'], never);
  const next = makeEntry('a', { revisionNumber: 1 });
  store.put(next);
  await store.jwt(next, ['x'], never);
  assert.equal(store.server.tokens.length, 2);
  store.remove('a');
  await assert.rejects(store.jwt(next, ['x'], never), {
    code: 'svid_unavailable',
    message: 'no token for spiffe://example.org/workload/a: the server refuses to sign',
  });
});

test('a token of another subject or without the audience is refused', async (t) => {
  const { store } = serving(t);
  const sign = store.authority.jwt;
  store.authority.jwt = (id, _audience, ttl) => sign(id, ['other'], ttl);
  await assert.rejects(store.jwt(entry, ['x'], never), {
    code: 'svid_unavailable',
    message: 'no token for spiffe://example.org/workload/a: the answer of the server is of no use',
  });
  await assert.rejects(
    store.jwt(entry, ['x'], never),
    because(/^the server sent a token without audience "x"$/),
  );
  store.authority.jwt = (_id, audience, ttl) => sign(makeEntry('thief').spiffeId, audience, ttl);
  await assert.rejects(
    store.jwt(entry, ['x'], never),
    because(/^the server sent a token for spiffe:\/\/example.org\/workload\/thief instead of/),
  );
});

test('audiences beyond all measure are refused before the server is asked', async (t) => {
  const { store } = serving(t);
  await assert.rejects(store.jwt(entry, ['x'.repeat(20_000)], never), {
    code: 'svid_unavailable',
    message: 'no token for spiffe://example.org/workload/a: its audiences are too long',
  });
  assert.equal(store.server.tokens.length, 0);
});
