import assert from 'node:assert/strict';
import test from 'node:test';
import { parseSelector } from '../../../src/spiffe/selector.js';
import { makeEntry } from '../../fakes/entries.js';
import {
  type FakeIdentityStore,
  type FakeStoreOptions,
  fakeIdentityStore,
} from '../../fakes/identity-store.js';
import { type ManualClock, manualClock, settle, until } from '../../fakes/manual-clock.js';

const never = new AbortController().signal;

function serving(
  t: test.TestContext,
  options: FakeStoreOptions = {},
): { store: FakeIdentityStore; clock: ManualClock } {
  const clock = manualClock();
  const store = fakeIdentityStore({ clock, ...options });
  t.after(() => store[Symbol.dispose]());
  store.serve();
  return { store, clock };
}

const holds = (store: FakeIdentityStore, ...ids: string[]) =>
  until(`${ids.join()} held`, () => ids.every((id) => store.x509(id) !== undefined));

test('what changes in one turn of the event loop is told once', async (t) => {
  const { store } = serving(t);
  await settle();
  let calls = 0;
  const stop = store.onChange(() => {
    calls += 1;
  });
  const before = store.version;
  store.put(makeEntry('a', { disableX509SvidPrefetch: true }));
  store.put(makeEntry('b', { disableX509SvidPrefetch: true }));
  store.remove('a');
  assert.equal(store.version, before + 3);
  assert.equal(calls, 0);
  await settle();
  assert.equal(calls, 1);
  stop();
  store.remove('b');
  await settle();
  assert.equal(calls, 1);
});

test('entries match in the order of their IDs, with each hint once, and never those for secret stores', (t) => {
  const { store } = serving(t);
  const selectors = [parseSelector('unix:uid:1')];
  store.put(
    makeEntry('c', { selectors, hint: 'db', createdAt: 5 }),
    makeEntry('b', { selectors, hint: 'db', createdAt: 9 }),
    makeEntry('a', { selectors: [...selectors, parseSelector('unix:gid:2')] }),
    makeEntry('d', { selectors, storeSvid: true }),
  );
  const told = (...texts: string[]) => store.matching(texts.map(parseSelector)).map(({ id }) => id);
  assert.deepEqual(told('unix:uid:1', 'unix:gid:2'), ['a', 'c']);
  assert.deepEqual(told('unix:uid:1'), ['c']);
  assert.deepEqual(told('unix:gid:2'), []);
  assert.equal(store.entries().size, 4);
});

test('a withdrawal drops entries, SVIDs and tokens, also those that are under way', async (t) => {
  const { store } = serving(t);
  const entry = makeEntry('a');
  store.put(entry, makeEntry('b', { disableX509SvidPrefetch: true }));
  await holds(store, 'a');
  let open = () => {};
  store.server.hold = new Promise((resolve) => {
    open = resolve;
  });
  const token = store.jwt(entry, ['x'], never);
  const waiting = store.ensureX509([makeEntry('b')], never);
  await until('asked', () => store.server.batches.length === 2 && store.server.tokens.length === 1);
  store.withdraw('drifted', [{ code: 'pcr_changed', message: 'PCR 7 changed' }]);
  open();
  await assert.rejects(waiting, { code: 'svid_unavailable', message: `entry "b" is not this node's` });
  await assert.rejects(token, {
    code: 'svid_unavailable',
    message: 'no token for spiffe://example.org/workload/a: identities were withdrawn',
  });
  assert.deepEqual([store.x509('a'), store.entries().size, store.status.phase], [undefined, 0, 'withdrawn']);
  assert.deepEqual(store.status.reasons, [{ code: 'pcr_changed', message: 'PCR 7 changed' }]);
  assert.deepEqual(store.held, { revision: 0n, epoch: '' });
  assert.deepEqual(store.counts, { entries: 0, x509: 0, jwt: 0 });
});

test('a change that was seen already is passed over, a whole set never is', (t) => {
  const { store } = serving(t);
  const change = { epoch: 'e', revision: 7n, full: true, upserts: [makeEntry('a')], removed: [] };
  store.applyEntries(change);
  store.applyEntries({ ...change, full: false, revision: 6n, upserts: [], removed: ['a'] });
  assert.deepEqual([...store.entries().keys()], ['a']);
  assert.deepEqual(store.held, { revision: 7n, epoch: 'e' });
  store.applyEntries({ ...change, revision: 3n, upserts: [makeEntry('b')] });
  assert.deepEqual([...store.entries().keys()], ['b']);
  assert.deepEqual(store.held, { revision: 3n, epoch: 'e' });
});
