import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { foldSum, sumOf } from '../../../src/server/datastores/level-records.js';

test('the sum of a record is the hash of key and value, whatever its length and its letters', () => {
  for (const raw of [
    '',
    '1 {}',
    'ä€😀',
    '\ud800',
    'x'.repeat(21_000),
    'x'.repeat(30_000),
    '€'.repeat(40_000),
  ]) {
    const wanted = createHash('sha256').update(`r!meta!é\0${raw}`).digest().toString('latin1');
    assert.equal(sumOf('r!meta!é', raw), wanted, `${raw.length} characters`);
  }
});

test('a record that is taken out again leaves the sum as it was', () => {
  const sum = Buffer.alloc(32, 0x5a);
  foldSum(sum, sumOf('a', '1'));
  assert.notDeepEqual(sum, Buffer.alloc(32, 0x5a));
  foldSum(sum, sumOf('b', '2'));
  foldSum(sum, sumOf('a', '1'));
  foldSum(sum, sumOf('b', '2'));
  assert.deepEqual(sum, Buffer.alloc(32, 0x5a));
});
