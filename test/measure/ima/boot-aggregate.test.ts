import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { bootAggregate, matchBootAggregate } from '../../../src/measure/ima/boot-aggregate.js';

const pcrs = new Map(Array.from({ length: 10 }, (_, pcr) => [pcr, Buffer.alloc(32, pcr + 1)] as const));
const over = (count: number) =>
  createHash('sha256')
    .update(Buffer.concat([...pcrs.values()].slice(0, count)))
    .digest();
const said = (digest: Buffer) => ({ algorithm: 'sha256', digest, of: 'file' }) as const;

test('it is the hash over PCR 0 to 9, or to 7 where an older kernel made it', () => {
  assert.equal(matchBootAggregate(said(over(10)), 'sha256', pcrs), '0-9');
  assert.equal(matchBootAggregate(said(over(8)), 'sha256', pcrs), '0-7');
  assert.equal(matchBootAggregate(said(over(9)), 'sha256', pcrs), undefined);
});

test('registers that are not known are not guessed', () => {
  const without9 = new Map([...pcrs].filter(([pcr]) => pcr !== 9));
  assert.equal(bootAggregate('sha256', without9, '0-9'), undefined);
  assert.equal(matchBootAggregate(said(over(10)), 'sha256', without9), undefined);
  assert.equal(matchBootAggregate(said(over(8)), 'sha256', without9), '0-7');
  assert.equal(bootAggregate('sha1', pcrs, '0-7'), undefined, 'values of another size');
});

test('a digest of another bank, of a tree, or cut off is none', () => {
  const good = said(over(10));
  for (const other of [
    { ...good, algorithm: 'sha1' },
    { ...good, of: 'verity' as const },
    { ...good, digest: good.digest.subarray(0, 31) },
    { ...good, digest: Buffer.alloc(0) },
  ])
    assert.equal(matchBootAggregate(other, 'sha256', pcrs), undefined);
});
