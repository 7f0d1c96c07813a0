import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { matchBehaviour, setMatcher } from '../../../src/server/api/set-match.js';
import { throwsCode } from '../../support/rejects.js';

const rows: readonly [keyof typeof matchBehaviour, string, string, boolean][] = [
  ['exact', 'ab', 'ab', true],
  ['exact', 'ab', 'ba', true],
  ['exact', 'ab', 'a', false],
  ['exact', 'ab', 'abc', false],
  ['subset', 'ab', 'a', true],
  ['subset', 'ab', 'ab', true],
  ['subset', 'ab', 'abc', false],
  ['superset', 'ab', 'abc', true],
  ['superset', 'ab', 'ab', true],
  ['superset', 'ab', 'a', false],
  ['any', 'ab', 'bc', true],
  ['any', 'ab', 'c', false],
];

for (const [behaviour, wanted, actual, passes] of rows) {
  test(`${behaviour}: a record with {${actual}} ${passes ? 'passes' : 'does not pass'} a filter of {${wanted}}`, () => {
    assert.equal(setMatcher('f', [...wanted], matchBehaviour[behaviour])([...actual]), passes);
  });
}

test('an empty filter and an unknown behaviour are refused by the name of the field', () => {
  throwsCode('argument_invalid', /^filter\.by_selectors names nothing/, () =>
    setMatcher('filter.by_selectors', [], 0),
  );
  throwsCode('argument_invalid', /unknown match behaviour 7/, () => setMatcher('f', ['a'], 7));
});

test('exact is both subset and superset, for every two sets', () => {
  const set = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1 });
  fc.assert(
    fc.property(set, set, (wanted, actual) => {
      const by = (behaviour: number) => setMatcher('f', wanted, behaviour)(actual);
      assert.equal(by(0), by(1) && by(2));
      if (by(1) || by(2)) assert.ok(by(3));
    }),
  );
});
