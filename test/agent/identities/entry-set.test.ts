import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { createEntrySet } from '../../../src/agent/identities/entry-set.js';
import type { Entry } from '../../../src/spiffe/entry.js';
import { parseSelector } from '../../../src/spiffe/selector.js';
import { makeEntry } from '../../fakes/entries.js';

const ids = ({ added, changed, removed }: ReturnType<ReturnType<typeof createEntrySet>['apply']>) => [
  added.map(({ id }) => id),
  changed.map(({ id }) => id),
  removed,
];

test('a change says what it added, changed and removed, and passes over what is the same', () => {
  const set = createEntrySet();
  const [a, b] = [makeEntry('a'), makeEntry('b')];
  assert.deepEqual(ids(set.apply({ full: false, upserts: [a, b], removed: ['x'] })), [['a', 'b'], [], []]);
  const newer = makeEntry('a', { revisionNumber: 1 });
  const change = set.apply({ full: false, upserts: [newer, makeEntry('b')], removed: [] });
  assert.deepEqual(ids(change), [[], ['a'], []]);
  assert.deepEqual(ids(set.apply({ full: false, upserts: [], removed: ['a', 'x'] })), [[], [], ['a']]);
  assert.deepEqual([...set.all().keys()], ['b']);
});

test('a whole set removes what it does not name', () => {
  const set = createEntrySet();
  set.apply({ full: false, upserts: [makeEntry('a'), makeEntry('b')], removed: [] });
  const change = set.apply({ full: true, upserts: [makeEntry('b'), makeEntry('c')], removed: [] });
  assert.deepEqual(ids(change), [['c'], [], ['a']]);
});

test('the same revision with other contents is a change: a server may have been restored', () => {
  const set = createEntrySet();
  set.apply({ full: true, upserts: [makeEntry('a')], removed: [] });
  const restored = makeEntry('a', { hint: 'other' });
  assert.deepEqual(ids(set.apply({ full: true, upserts: [restored], removed: [] })), [[], ['a'], []]);
  assert.equal(set.get('a')?.hint, 'other');
});

test('whatever the order of changes, deltas and a whole set lead to the same entries', () => {
  const step = fc.record({
    upserts: fc.array(fc.record({ id: fc.integer({ min: 0, max: 9 }), revision: fc.nat(3) }), {
      maxLength: 5,
    }),
    removed: fc.array(fc.integer({ min: 0, max: 9 }).map(String), { maxLength: 3 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const set = createEntrySet();
      const model = new Map<string, Entry>();
      for (const { upserts, removed } of steps) {
        const entries = upserts.map(({ id, revision }) =>
          makeEntry(String(id), {
            revisionNumber: revision,
            selectors: [parseSelector(`unix:uid:${revision}`)],
          }),
        );
        const kept = new Set(entries.map(({ id }) => id));
        for (const id of removed) if (!kept.has(id)) model.delete(id);
        for (const entry of entries) model.set(entry.id, entry);
        set.apply({ full: false, upserts: entries, removed });
      }
      assert.deepEqual(new Map(set.all()), model);
      for (let uid = 0; uid < 4; uid += 1) {
        const selector = parseSelector(`unix:uid:${uid}`);
        const expected = [...model.values()].filter(({ revisionNumber }) => revisionNumber === uid);
        assert.equal(set.matching([selector]).length, expected.length);
      }
    }),
    { numRuns: 200 },
  );
});

test('an emptied set matches nothing', () => {
  const set = createEntrySet();
  set.apply({ full: true, upserts: [makeEntry('a')], removed: [] });
  set.clear();
  assert.deepEqual([set.all().size, set.matching([parseSelector('unix:user:a')])], [0, []]);
});
