import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { deleteEntry, indexEntries, matchEntries, nearEntries, putEntry } from '../../src/spiffe/matching.js';
import { formatSelector, parseSelector } from '../../src/spiffe/selector.js';
import { entryOf } from '../support/entries.js';

const held = (...selectors: string[]) => selectors.map(parseSelector);
const ids = (entries: readonly { id: string }[]) => entries.map(({ id }) => id);

test('an entry matches when the workload has all of its selectors, and more', () => {
  const index = indexEntries([
    entryOf('one', ['unix:uid:1']),
    entryOf('both', ['unix:uid:1', 'unix:gid:2']),
    entryOf('other', ['unix:uid:2']),
  ]);
  assert.deepEqual(ids(matchEntries(index, held('unix:uid:1'))), ['one']);
  assert.deepEqual(ids(matchEntries(index, held('unix:gid:2', 'unix:uid:1', 'unix:user:x'))), [
    'both',
    'one',
  ]);
  assert.deepEqual(matchEntries(index, held('unix:gid:2')), []);
  assert.deepEqual(matchEntries(index, []), []);
});

test('an entry without selectors matches nobody', () => {
  const index = indexEntries([entryOf('none', [])]);
  assert.deepEqual(matchEntries(index, held('unix:uid:1')), []);
  assert.equal(deleteEntry(index, 'none'), true);
});

test('type and value are compared as a whole', () => {
  const index = indexEntries([entryOf('a', ['a:b:c'])]);
  assert.deepEqual(ids(matchEntries(index, [{ type: 'a', value: 'b:c' }])), ['a']);
  assert.deepEqual(matchEntries(index, held('a:b')), []);
});

const pool = Array.from({ length: 8 }, (_, n) => `t:${n}`);
const entrySets = fc.array(fc.subarray(pool, { minLength: 1 }), { maxLength: 12 });

test('the index finds what looking at every entry finds, through changes in any order', () => {
  const steps = fc.array(
    fc.tuple(fc.nat(5), fc.option(fc.subarray(pool, { minLength: 1 }), { nil: undefined })),
    { maxLength: 30 },
  );
  fc.assert(
    fc.property(entrySets, steps, fc.subarray(pool), (sets, changes, workload) => {
      const entries = new Map(sets.map((set, n) => [`${n}`, entryOf(`${n}`, set)]));
      const index = indexEntries(entries.values());
      for (const [n, set] of changes) {
        if (set === undefined) assert.equal(deleteEntry(index, `${n}`), entries.delete(`${n}`));
        else {
          entries.set(`${n}`, entryOf(`${n}`, set));
          putEntry(index, entryOf(`${n}`, set));
        }
      }
      const expected = [...entries.values()].filter(({ selectors }) =>
        selectors.every((s) => workload.includes(formatSelector(s))),
      );
      assert.deepEqual(ids(matchEntries(index, held(...workload))), ids(expected).sort());
      assert.equal(index.entries.size, entries.size);
    }),
  );
});

test('the nearest entries come with what is missing: fewest first, then most present, then by ID', () => {
  const index = indexEntries([
    entryOf('match', ['t:1']),
    entryOf('far', ['t:3', 't:4', 't:5']),
    entryOf('b', ['t:9']),
    entryOf('a', ['t:8']),
    entryOf('near', ['t:1', 't:2', 't:3']),
  ]);
  const near = nearEntries(index, held('t:1', 't:2'), 4);
  assert.deepEqual(
    near.map(({ entry }) => entry.id),
    ['near', 'a', 'b', 'far'],
  );
  assert.deepEqual(near[0]?.missing.map(formatSelector), ['t:3']);
  assert.equal(nearEntries(index, held('t:1'), 1).length, 1);
});

test('nothing is left behind when every entry is deleted', () => {
  const index = indexEntries([entryOf('a', ['t:1', 't:2']), entryOf('b', ['t:1'])]);
  assert.ok(deleteEntry(index, 'a') && deleteEntry(index, 'b'));
  assert.equal(deleteEntry(index, 'a'), false);
  assert.deepEqual([index.entries.size, index.bySelector.size, index.filedUnder.size], [0, 0, 0]);
});
