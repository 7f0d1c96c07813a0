import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TouchmarkError } from '../../../src/errors.js';
import type { Datastore } from '../../../src/server/datastores/contract.js';
import { createEntries, type EntryDraft } from '../../../src/server/entries/entries.js';
import { parseSpiffeId, parseTrustDomain } from '../../../src/spiffe/id.js';
import { makeEntry } from '../../fakes/entries.js';
import { manualClock } from '../../fakes/manual-clock.js';
import { type MemoryDatastore, memoryDatastore } from '../../fakes/memory-datastore.js';

const trustDomain = parseTrustDomain('example.org');

function open(store: Datastore = memoryDatastore()) {
  const clock = manualClock();
  return { store, clock, entries: createEntries({ store, clock, trustDomain, admit: () => {} }) };
}

function draft(path: string, change: Partial<EntryDraft> = {}): EntryDraft {
  const { revisionNumber: _, createdAt: __, ...rest } = makeEntry('template');
  return { ...rest, id: '', spiffeId: parseSpiffeId(`spiffe://example.org${path}`), ...change };
}

const codes = (outcomes: readonly { error?: TouchmarkError }[]) =>
  outcomes.map(({ error }) => error?.code ?? 'ok');

test('a batch is one commit, whatever its size', async () => {
  const { store, entries } = open();
  const outcomes = await entries.create(Array.from({ length: 50 }, (_, at) => draft(`/e/${at}`)));
  assert.deepEqual([...new Set(codes(outcomes))], ['ok']);
  assert.equal(store.revision, 1);
  assert.equal((await store.list('entry')).length, 50);
  assert.equal((await store.list('entry_key')).length, 50);
});

test('what cannot be read keeps its place and its reason, and does not hold up the others', async () => {
  const { entries } = open();
  const broken = new TouchmarkError('argument_invalid', 'spiffe_id: it is missing');
  const outcomes = await entries.create([draft('/a'), broken, draft('/b')]);
  assert.deepEqual(codes(outcomes), ['ok', 'argument_invalid', 'ok']);
});

test('a batch in which nothing is possible commits nothing', async () => {
  const { store, entries } = open();
  assert.deepEqual(codes(await entries.remove(['x', ''])), ['entry_not_found', 'argument_invalid']);
  assert.equal(store.revision, 0);
});

/** A store in which somebody else writes just before each of the first commits. */
function contended(
  times: number,
  other: (store: MemoryDatastore, round: number) => Promise<unknown>,
): Datastore {
  const store = memoryDatastore();
  let round = 0;
  const commit: Datastore['commit'] = async (writes, conditions) => {
    round += 1;
    if (round <= times) await other(store, round);
    return store.commit(writes, conditions);
  };
  return new Proxy(store, {
    get: (target, name) => (name === 'commit' ? commit : Reflect.get(target, name)),
  });
}

test('when somebody else was faster, the batch is decided again on what is there now', async () => {
  const rival = createEntriesOn;
  const store = contended(1, (inner) => rival(inner).create([draft('/a', { hint: 'rival' })]));
  const outcomes = await open(store).entries.create([draft('/a'), draft('/b')]);
  assert.deepEqual(codes(outcomes), ['entry_exists', 'ok']);
  assert.equal(outcomes[0]?.entry?.hint, 'rival');
});

function createEntriesOn(store: Datastore) {
  return createEntries({ store, clock: manualClock(), trustDomain, admit: () => {} });
}

test('an update that raced another is made on top of it', async () => {
  const first = open();
  const [made] = await first.entries.create([draft('/a')]);
  const id = made?.entry?.id ?? '';
  const store = contended(2, (inner, round) =>
    createEntriesOn(inner).update([{ id, change: (before) => ({ ...before, x509SvidTtl: round }) }]),
  );
  const stored = await first.store.get('entry', id);
  assert.ok(stored !== undefined);
  await createEntriesOn(store).create([{ ...draft('/a'), id }]);
  const outcome = await createEntriesOn(store).update([
    { id, change: (before) => ({ ...before, hint: 'mine' }) },
  ]);
  assert.equal(outcome[0]?.entry?.hint, 'mine');
  assert.ok((outcome[0]?.entry?.x509SvidTtl ?? 0) >= 1, 'the rival’s change is still there');
});

test('a batch that is always too late says so instead of trying for ever', async () => {
  const store = contended(1000, (inner, round) => {
    const value = { ...makeEntry('fixed'), hint: String(round) };
    return inner.commit([{ kind: 'entry', key: 'fixed', value }]);
  });
  const outcomes = await createEntriesOn(store).create([draft('/a', { id: 'fixed' })]);
  assert.ok(['entry_exists', 'write_contended'].includes(codes(outcomes)[0] ?? ''));
  const change = { id: 'fixed', change: (before: EntryDraft) => before };
  assert.deepEqual(codes(await createEntriesOn(store).update([change])), ['write_contended']);
});

test('an entry that was prolonged while it was about to be removed stays', async () => {
  const { entries, store } = open();
  const [made] = await entries.create([draft('/a', { expiresAt: 100 })]);
  const id = made?.entry?.id ?? '';
  await entries.update([{ id, change: (before) => ({ ...before, expiresAt: 300 }) }]);
  await entries.removeEnded([id], 200);
  assert.ok((await store.get('entry', id)) !== undefined);
  await entries.removeEnded([id], 300);
  assert.equal(await store.get('entry', id), undefined);
  assert.deepEqual(await store.list('entry_key'), []);
});

test('one batch may delete and its successor re-create the same registration', async () => {
  const { entries, store } = open();
  for (let round = 0; round < 3; round += 1) {
    const [made] = await entries.create([draft('/a')]);
    assert.deepEqual(codes(await entries.remove([made?.entry?.id ?? ''])), ['ok']);
  }
  assert.deepEqual(await store.list('entry_key'), []);
});

test('entries of one batch see one another: the second of two equals is told of the first', async () => {
  const { entries } = open();
  const outcomes = await entries.create([
    draft('/a'),
    draft('/a'),
    draft('/b', { id: 'x' }),
    draft('/c', { id: 'x' }),
  ]);
  assert.deepEqual(codes(outcomes), ['ok', 'entry_exists', 'ok', 'entry_exists']);
  assert.equal(outcomes[1]?.entry?.id, outcomes[0]?.entry?.id);
});
