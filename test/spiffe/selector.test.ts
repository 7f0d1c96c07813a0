import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatSelector, parseSelector } from '../../src/spiffe/selector.js';
import { throwsCode } from '../support/rejects.js';

test('the type ends at the first colon, the value may hold more', () => {
  assert.deepEqual(parseSelector('unix:uid:1000'), { type: 'unix', value: 'uid:1000' });
  assert.deepEqual(parseSelector('a::'), { type: 'a', value: ':' });
});

test('a selector without type or value is refused', () => {
  for (const bad of ['', ':', 'unix', 'unix:', ':uid', '::x']) {
    throwsCode('selector_invalid', /^selector ".*" is not type:value$/, () => parseSelector(bad), bad);
  }
});

test('formatting what was parsed gives the same text', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[^:]{1,8}$/), fc.string({ minLength: 1 }), (type, value) => {
      assert.equal(formatSelector(parseSelector(`${type}:${value}`)), `${type}:${value}`);
    }),
  );
});
