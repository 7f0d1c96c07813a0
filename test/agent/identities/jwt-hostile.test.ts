import assert from 'node:assert/strict';
import test from 'node:test';
import { TokenShelf } from '../../../src/agent/identities/token-shelf.js';
import { TouchmarkError } from '../../../src/errors.js';
import { makeEntry } from '../../fakes/entries.js';
import { fakeIdentityStore } from '../../fakes/identity-store.js';
import { manualClock, settle, until } from '../../fakes/manual-clock.js';

const never = new AbortController().signal;
const entry = makeEntry('a');

function serving(t: test.TestContext) {
  const clock = manualClock();
  const store = fakeIdentityStore({ clock });
  t.after(() => {
    store[Symbol.dispose]();
    assert.equal(clock.timers, 0, 'no timer is left');
  });
  store.serve();
  store.put(makeEntry('a', { disableX509SvidPrefetch: true }));
  return { clock, store };
}

test('a token ends when it says so itself', async (t) => {
  const { clock, store } = serving(t);
  const identity = await store.jwt(entry, ['x'], never);
  assert.equal(identity.expiresAt, clock.now() / 1000 + 300);
  store.server.fail = new TouchmarkError('server_away', 'the server is away');
  clock.advance(299_000);
  assert.equal(await store.jwt(entry, ['x'], never), identity);
  clock.advance(1_000);
  await assert.rejects(store.jwt(entry, ['x'], never), { code: 'svid_unavailable' });
});

test('a token that has expired when it comes is not given out', async (t) => {
  const { clock, store } = serving(t);
  const sign = store.authority.jwt;
  store.authority.jwt = (id, audience) => {
    const token = sign(id, audience, 10);
    clock.advance(10_000);
    return token;
  };
  await assert.rejects(store.jwt(entry, ['x'], never), {
    code: 'svid_unavailable',
    message: 'no token for spiffe://example.org/workload/a: the answer of the server is of no use',
  });
  assert.equal(store.counts.jwt, 0);
});

test('a caller who is gone before he asks is told so, and nothing stays behind', async (t) => {
  const { store } = serving(t);
  const gone = AbortSignal.abort();
  await assert.rejects(store.jwt(entry, ['x'], gone), {
    code: 'svid_unavailable',
    message: 'the caller went away',
  });
});

test('the end of the store ends the call that is under way, and its timer', async (t) => {
  const { clock, store } = serving(t);
  let open = () => {};
  store.server.hold = new Promise((resolve) => {
    open = resolve;
  });
  const waiting = assert.rejects(store.jwt(entry, ['x'], never), {
    code: 'svid_unavailable',
    message: 'no token for spiffe://example.org/workload/a: identities were withdrawn',
  });
  await until('asked', () => store.server.tokens.length === 1);
  assert.equal(clock.timers, 1, 'one timer for the call');
  store[Symbol.dispose]();
  open();
  await waiting;
});

test('one entry that is missing does not leave the wait for another without anybody to hear of it', async (t) => {
  const { store } = serving(t);
  const other = makeEntry('b', { disableX509SvidPrefetch: true });
  store.put(other);
  store.server.fail = new TouchmarkError('server_away', 'the server is away');
  // The wait for the first one is rejected later, when nobody looks at this call any more.
  await assert.rejects(store.ensureX509([other, makeEntry('gone')], never), {
    code: 'svid_unavailable',
    message: `entry "gone" is not this node's`,
  });
  await settle();
});

test('after the end of the store nothing can be had from it, and who waits is told', async (t) => {
  const { store } = serving(t);
  store.server.hold = new Promise(() => {});
  const waiting = store.ensureX509([entry], never);
  store[Symbol.dispose]();
  const refusal = { code: 'svid_unavailable', message: `entry "a" is not this node's` };
  await assert.rejects(waiting, refusal);
  await assert.rejects(store.ensureX509([entry], never), refusal);
  assert.deepEqual([store.x509('a'), store.entries().size], [undefined, 0]);
});

test('the shelf gives out nothing for another revision or identity of the entry', () => {
  const clock = manualClock();
  const shelf = new TokenShelf(clock, 10);
  const identity = { id: entry.spiffeId, hint: '', token: 't', expiresAt: clock.now() / 1000 + 100 };
  const put = () => shelf.keep('k', entry, identity, 'key');
  put();
  assert.equal(shelf.find('k', entry)?.identity, identity);
  assert.equal(shelf.find('k', makeEntry('a', { revisionNumber: 1 })), undefined);
  assert.equal(shelf.size, 0, 'what is stale is forgotten');
  put();
  assert.equal(shelf.find('k', makeEntry('a', { spiffeId: makeEntry('b').spiffeId })), undefined);
  put();
  assert.equal(shelf.find('other', entry), undefined);
  assert.equal(shelf.find('k', entry)?.refreshAt, clock.now() + 50_000);
  shelf.remove(({ keyId }) => keyId === 'key');
  assert.equal(shelf.size, 0);
});

test('a shelf of no size keeps nothing', () => {
  const clock = manualClock();
  const shelf = new TokenShelf(clock, 0);
  shelf.keep('k', entry, { id: entry.spiffeId, hint: '', token: 't', expiresAt: 9e9 }, 'key');
  assert.equal(shelf.size, 0);
});
