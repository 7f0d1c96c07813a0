import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../../../src/log.js';
import { createAudit } from '../../../src/server/access/audit.js';
import { createEntries } from '../../../src/server/entries/entries.js';
import { startEntryPruner } from '../../../src/server/entries/pruner.js';
import { openRegistry } from '../../../src/server/registry/registry.js';
import { parseSpiffeId, parseTrustDomain } from '../../../src/spiffe/id.js';
import { makeEntry } from '../../fakes/entries.js';
import { manualClock, settle } from '../../fakes/manual-clock.js';
import { memoryDatastore } from '../../fakes/memory-datastore.js';

async function open(t: { after(task: () => void): void }) {
  const clock = manualClock();
  const store = memoryDatastore();
  const trustDomain = parseTrustDomain('example.org');
  const registry = await openRegistry(store, trustDomain);
  const entries = createEntries({ store, clock, trustDomain, admit: () => {} });
  const log = silentLogger();
  const pruner = startEntryPruner({ registry, entries, clock, log, audit: createAudit(log, false) });
  t.after(() => pruner[Symbol.dispose]());
  const now = Math.floor(clock.now() / 1000);
  const put = async (name: string, seconds: number) => {
    const spiffeId = parseSpiffeId(`spiffe://example.org/e/${name}`);
    const entry = { ...makeEntry(name), spiffeId, expiresAt: seconds === 0 ? 0 : now + seconds };
    const [outcome] = await entries.create([entry]);
    assert.equal(outcome?.error, undefined);
  };
  const names = () => [...registry.entries()].map(({ id }) => id).toSorted();
  return { clock, store, entries, put, names, pruner, now };
}

test('each entry goes at its own end, by one timer', async (t) => {
  const { clock, put, names } = await open(t);
  await put('late', 100);
  await put('soon', 10);
  await put('never', 0);
  assert.equal(clock.timers, 1);
  await clock.pass(9_999);
  assert.deepEqual(names(), ['late', 'never', 'soon']);
  await clock.pass(1);
  assert.deepEqual(names(), ['late', 'never']);
  await clock.pass(90_000);
  assert.deepEqual(names(), ['never']);
  assert.equal(clock.timers, 0);
});

test('an end that is moved is kept to', async (t) => {
  const { clock, put, names, entries, now } = await open(t);
  await put('a', 10);
  await entries.update([{ id: 'a', change: (before) => ({ ...before, expiresAt: now + 60 }) }]);
  await clock.pass(30_000);
  assert.deepEqual(names(), ['a']);
  await entries.update([{ id: 'a', change: (before) => ({ ...before, expiresAt: now + 40 }) }]);
  await clock.pass(10_000);
  assert.deepEqual(names(), []);
});

test('what cannot be removed is tried again', async (t) => {
  const { clock, put, names, store } = await open(t);
  await put('a', 10);
  store.failAsFull(true);
  await clock.pass(10_000);
  assert.deepEqual(names(), ['a']);
  store.failAsFull(false);
  await clock.pass(10_000);
  await settle();
  assert.deepEqual(names(), []);
});

test('after the end of the pruner no timer is left', async (t) => {
  const { clock, put, pruner } = await open(t);
  await put('a', 10);
  pruner[Symbol.dispose]();
  assert.equal(clock.timers, 0);
  await put('b', 5);
  assert.equal(clock.timers, 0);
});
