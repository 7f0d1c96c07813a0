import assert from 'node:assert/strict';
import test from 'node:test';
import { TouchmarkError } from '../../../src/errors.js';
import { parseSpiffeId } from '../../../src/spiffe/id.js';
import { parseSelector } from '../../../src/spiffe/selector.js';
import { verifyX509Svid } from '../../../src/spiffe/x509-svid.js';
import { importPkcs8 } from '../../../src/x509/keys.js';
import { exportSpki } from '../../../src/x509/spki.js';
import { makeEntry } from '../../fakes/entries.js';
import {
  type FakeIdentityStore,
  type FakeStoreOptions,
  fakeIdentityStore,
} from '../../fakes/identity-store.js';
import { type ManualClock, manualClock, settle, until } from '../../fakes/manual-clock.js';
import { because } from '../../support/because.js';

const never = new AbortController().signal;
const unreachable = new TouchmarkError('server_away', 'the server is away');

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

test('an entry that arrives is signed ahead, under a key of its own, and told in one change', async (t) => {
  const { store, clock } = serving(t);
  store.put(makeEntry('a'), makeEntry('b'));
  await holds(store, 'a', 'b');
  const a = store.x509('a');
  const b = store.x509('b');
  assert.ok(a !== undefined && b !== undefined);
  const svid = verifyX509Svid(a.chain, store.authority.bundle(), clock.now() / 1000);
  assert.equal(svid.id, 'spiffe://example.org/workload/a');
  assert.deepEqual(Buffer.from(svid.leaf.spki), exportSpki(importPkcs8(a.key)));
  assert.notDeepEqual(a.key, b.key);
  assert.deepEqual(store.server.batches, [['a', 'b']]);
});

test('an entry without prefetch is signed when a workload asks, and at most once at a time', async (t) => {
  const { store } = serving(t);
  const entry = makeEntry('lazy', { disableX509SvidPrefetch: true });
  store.put(entry);
  await settle();
  assert.equal(store.x509('lazy'), undefined);
  await Promise.all([store.ensureX509([entry], never), store.ensureX509([entry], never)]);
  assert.equal(store.x509('lazy')?.entry.id, 'lazy');
  assert.deepEqual(store.server.batches, [['lazy']]);
});

test('250 entries travel in three calls', async (t) => {
  const { store } = serving(t);
  store.put(...Array.from({ length: 250 }, (_, at) => makeEntry(`e${at}`)));
  await until('all held', () => store.counts.x509 === 250);
  assert.deepEqual(
    store.server.batches.map((batch) => batch.length).sort((a, b) => a - b),
    [50, 100, 100],
  );
});

test('an SVID is renewed at half its life, with jitter rolled once, under a new key', async (t) => {
  const { store, clock } = serving(t, { random: () => 0 });
  store.put(makeEntry('a'));
  await holds(store, 'a');
  const first = store.x509('a');
  clock.advance(1_619_000);
  await settle();
  assert.equal(store.x509('a'), first);
  clock.advance(2_000);
  await until('renewed', () => store.x509('a') !== first);
  assert.notDeepEqual(store.x509('a')?.key, first?.key);
  assert.equal(store.x509('a')?.expiresAt, (first?.expiresAt ?? 0) + 1621);
  assert.deepEqual(store.server.batches, [['a'], ['a']]);
});

test('while the server is away SVIDs are served to their end and not a second longer', async (t) => {
  const { store, clock } = serving(t);
  store.put(makeEntry('a'));
  await holds(store, 'a');
  store.server.fail = unreachable;
  await clock.pass(3_599_000, 30_000);
  assert.ok(store.x509('a') !== undefined);
  const before = store.version;
  await clock.pass(1_000);
  assert.equal(store.x509('a'), undefined);
  assert.ok(store.version > before, 'the end of an SVID is told');
  const asked = store.server.batches.length;
  assert.ok(asked > 10 && asked < 120, `retries back off: ${asked} in half an hour`);
  await assert.rejects(store.ensureX509([makeEntry('a')], never), {
    code: 'svid_unavailable',
    message: 'no X.509-SVID for spiffe://example.org/workload/a: the server cannot be reached to sign',
  });
  store.server.fail = undefined;
  store.retryNow();
  await clock.pass(1);
  await holds(store, 'a');
});

test('a new revision of an entry is signed at once, and the old SVID stays until then', async (t) => {
  const { store } = serving(t);
  store.put(makeEntry('a'));
  await holds(store, 'a');
  const first = store.x509('a');
  store.put(makeEntry('a', { revisionNumber: 1, x509SvidTtl: 60 }));
  assert.equal(store.x509('a'), first);
  await until('signed anew', () => store.x509('a')?.entry.revisionNumber === 1);
});

test('an entry that becomes another identity loses its old SVID before it has the new one', async (t) => {
  const { store } = serving(t);
  store.put(makeEntry('a'));
  await holds(store, 'a');
  const spiffeId = parseSpiffeId('spiffe://example.org/other');
  store.put(makeEntry('a', { revisionNumber: 1, spiffeId }));
  assert.equal(store.x509('a'), undefined);
  await until('signed anew', () => store.x509('a')?.entry.spiffeId === spiffeId);
});

test('an answer for an entry that moved on meanwhile is signed again', async (t) => {
  const { store } = serving(t);
  let open = () => {};
  store.server.hold = new Promise((resolve) => {
    open = resolve;
  });
  store.put(makeEntry('a'));
  await until('asked', () => store.server.batches.length === 1);
  store.put(makeEntry('a', { revisionNumber: 1 }));
  const ready = store.ensureX509([makeEntry('a')], never);
  open();
  await ready;
  assert.equal(store.x509('a')?.entry.revisionNumber, 1);
  assert.deepEqual(store.server.batches, [['a'], ['a']]);
});

test('a removed entry takes its SVID with it and refuses who waits', async (t) => {
  const { store } = serving(t);
  store.put(makeEntry('a'));
  await holds(store, 'a');
  store.server.hold = new Promise(() => {});
  const entry = makeEntry('b', { disableX509SvidPrefetch: true });
  store.put(entry);
  const waiting = store.ensureX509([entry], never);
  store.remove('a', 'b');
  assert.equal(store.x509('a'), undefined);
  await assert.rejects(waiting, { code: 'svid_unavailable', message: `entry "b" is not this node's` });
  await assert.rejects(store.ensureX509([entry], never), { message: `entry "b" is not this node's` });
});

test('an SVID for another identity or of an unknown authority is not taken', async (t) => {
  const { store } = serving(t);
  const entry = makeEntry('a', { disableX509SvidPrefetch: true });
  store.put(entry);
  store.authority.rotate();
  await assert.rejects(
    store.ensureX509([entry], never),
    because(/^no authority of the bundle signed the chain/),
  );
  store.publish();
  const sign = store.authority.x509;
  store.authority.x509 = (csr, _id, ttl) => sign(csr, 'spiffe://example.org/thief', ttl);
  await assert.rejects(
    store.ensureX509([entry], never),
    because(/^the server sent an SVID for spiffe:\/\/example.org\/thief instead of/),
  );
  assert.equal(store.x509('a'), undefined);
});

test('after a taint SVIDs are replaced while the old ones are served, after a removal they go at once', async (t) => {
  const { store, clock } = serving(t);
  store.put(makeEntry('a'));
  await holds(store, 'a');
  const first = store.x509('a');
  store.authority.rotate();
  store.publish();
  store.authority.taintOld();
  store.publish();
  assert.equal(store.x509('a'), first);
  clock.advance(2_000);
  await until('replaced', () => store.x509('a') !== first);
  store.server.fail = unreachable;
  const second = store.x509('a');
  store.authority.removeOld();
  store.publish();
  assert.equal(store.x509('a'), second);
  store.authority.rotate();
  store.authority.removeOld();
  store.publish();
  assert.equal(store.x509('a'), undefined);
});

test('beyond the soft limit what nobody uses makes room, what is in use stays', async (t) => {
  const { store, clock } = serving(t, { x509SoftLimit: 2 });
  const entries = ['a', 'b', 'c', 'd', 'e'].map((id) => makeEntry(id));
  store.put(...entries);
  await settle();
  await until('two held', () => store.counts.x509 === 2);
  clock.advance(10);
  await store.ensureX509(entries.slice(2, 4), never);
  assert.equal(store.counts.x509, 2);
  assert.deepEqual(
    entries.filter(({ id }) => store.x509(id) !== undefined).map(({ id }) => id),
    ['c', 'd'],
  );
  await store.ensureX509(entries.slice(4), never);
  assert.equal(store.counts.x509, 3);
});

test('a removal makes room for an entry that found none', async (t) => {
  const { store } = serving(t, { x509SoftLimit: 1 });
  store.put(makeEntry('a'), makeEntry('b'));
  await holds(store, 'a');
  assert.equal(store.x509('b'), undefined);
  store.remove('a');
  await holds(store, 'b');
});

/** An SVID without prefetch that was asked for once, and renewed once since. */
async function renewedOnce(t: test.TestContext) {
  const { store, clock } = serving(t);
  const entry = makeEntry('a', { disableX509SvidPrefetch: true });
  store.put(entry);
  await store.ensureX509([entry], never);
  await clock.pass(1_801_000, 1_801_000);
  await until('renewed once', () => store.server.batches.length === 2);
  return { store, clock };
}

test('what nobody used for a whole life of its SVID is not renewed without prefetch', async (t) => {
  const { store, clock } = await renewedOnce(t);
  await clock.pass(1_801_000, 1_801_000);
  await clock.pass(1_800_000, 60_000);
  assert.equal(store.server.batches.length, 2);
  assert.equal(store.counts.x509, 0);
});

test('to look at an SVID is no use of it', async (t) => {
  const { store, clock } = await renewedOnce(t);
  for (let minute = 0; minute < 60; minute += 1) {
    store.look('a');
    await clock.pass(60_000);
  }
  assert.equal(store.server.batches.length, 2);
  assert.equal(store.look('a').identity, undefined);
});

const measured = makeEntry('m', {
  selectors: [parseSelector(`binary:sha256:${'a'.repeat(64)}`), parseSelector('binary:measured:true')],
});

test('what was refused to a workload that left is not asked for any more, nor signed for nobody later', async (t) => {
  const { store, clock } = serving(t);
  store.put(measured);
  store.server.fail = new TouchmarkError('server_refused', 'the server says: it was not measured');
  const gone = new AbortController();
  await assert.rejects(store.ensureX509([measured], gone.signal), {
    code: 'svid_unavailable',
    message: 'no X.509-SVID for spiffe://example.org/workload/m: the server refuses to sign',
  });
  gone.abort();
  await clock.pass(6 * 3_600_000, 30_000);
  assert.ok(store.server.batches.length < 10, `${store.server.batches.length} requests`);
  store.server.fail = undefined;
  await clock.pass(600_000, 30_000);
  assert.equal(store.counts.x509, 0);
  const { failure } = store.look('m');
  assert.deepEqual(
    [failure?.code, failure?.message],
    ['server_refused', 'the server says: it was not measured'],
  );
  await store.ensureX509([measured], never);
  assert.deepEqual(Object.keys(store.look('m')), ['identity']);
});

test('what was refused to a stream that stays is asked for again, until it is there', async (t) => {
  const { store, clock } = serving(t);
  store.put(measured);
  store.server.fail = new TouchmarkError('server_refused', 'the server says: it was not measured');
  await assert.rejects(store.ensureX509([measured], never), { code: 'svid_unavailable' });
  await clock.pass(600_000, 5_000);
  store.server.fail = undefined;
  await clock.pass(60_000, 5_000);
  await holds(store, 'm');
});
