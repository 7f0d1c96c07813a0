import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { ascending, pcrDigest, readSelections, sameValue, serialiseSelections } from '../../src/tpm/pcr.js';
import { readerOf } from '../../src/tpm/reader.js';
import { throwsCode } from '../support/rejects.js';

const value = (byte: number) => Buffer.alloc(32, byte);

test('the digest of a selection is over its values in ascending order, whatever order it names them in', () => {
  const values = new Map([
    [7, value(7)],
    [0, value(1)],
    [23, value(9)],
  ]);
  const wanted = createHash('sha256')
    .update(Buffer.concat([value(1), value(7), value(9)]))
    .digest('hex');
  for (const pcrs of [
    [0, 7, 23],
    [23, 0, 7],
  ])
    assert.equal(
      Buffer.from(pcrDigest('sha256', { bank: 'sha256', pcrs }, values)).toString('hex'),
      wanted,
      pcrs.join(),
    );
  const absent = () => pcrDigest('sha256', { bank: 'sha256', pcrs: [0, 1] }, values);
  throwsCode('pcr_values_invalid', /^the value of PCR 1 in bank sha256 is missing$/, absent);
  const short = () => pcrDigest('sha256', { bank: 'sha1', pcrs: [0] }, values);
  throwsCode('pcr_values_invalid', /^the value of PCR 0 in bank sha1 has 32 bytes instead of 20$/, short);
});

test('a selection is read as it was written, every register of it', () => {
  const pcrs = Array.from({ length: 24 }, (_, pcr) => pcr);
  for (const some of [pcrs, [], [0], [23], pcrs.filter((pcr) => pcr % 3 === 1)]) {
    const bytes = serialiseSelections([{ bank: 'sha256', pcrs: some }]);
    assert.deepEqual(readSelections(readerOf(bytes, 'it')), [{ bank: 'sha256', pcrs: some }]);
  }
  const twice = serialiseSelections([
    { bank: 'sha1', pcrs: [1] },
    { bank: 'sha1', pcrs: [2] },
  ]);
  throwsCode('tpm_structure_invalid', /names the bank sha1 twice$/, () =>
    readSelections(readerOf(twice, 'it')),
  );
});

test('what is in order is not copied, and what is not is left as it was', () => {
  const inOrder = [1, 2, 9];
  assert.equal(ascending(inOrder), inOrder);
  const mixed = [9, 1, 2];
  assert.deepEqual([ascending(mixed), mixed], [inOrder, [9, 1, 2]]);
});

test('values are the same only byte for byte and in length', () => {
  assert.equal(sameValue(value(1), new Uint8Array(value(1))), true);
  const last = value(1);
  last[31] = 2;
  for (const other of [last, value(1).subarray(1), Buffer.alloc(0), undefined])
    assert.equal(sameValue(value(1), other), false);
});
