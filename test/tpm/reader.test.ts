import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readerOf } from '../../src/tpm/reader.js';
import { throwsCode } from '../support/rejects.js';

const bytes = Buffer.from('0102000300000004000000000000000500020a0b', 'hex');

test('numbers are big-endian, and what is taken is a copy', () => {
  const source = Buffer.from(bytes);
  const reader = readerOf(source, 'it');
  assert.deepEqual([reader.u16(), reader.u16(), reader.u32(), reader.u64()], [0x0102, 3, 4, 5n]);
  assert.equal(reader.left(), 4);
  const taken = reader.sized(2);
  reader.end();
  source.fill(0);
  assert.deepEqual([...taken], [0x0a, 0x0b]);
});

test('nothing is read beyond the end, and nothing is left over', () => {
  const reader = readerOf(bytes.subarray(0, 3), 'TPM2B_NAME');
  reader.u16();
  throwsCode('tpm_structure_truncated', /^TPM2B_NAME is cut off: 2 bytes wanted at offset 2 of 3$/, () =>
    reader.u16(),
  );
  throwsCode('tpm_structure_trailing', /^TPM2B_NAME is followed by 1 bytes that do not/, () => reader.end());
  assert.equal(reader.u8(), 0, 'what could not be read is still there');
  const long = readerOf(Buffer.from('ffff00', 'hex'), 'TPM2B_NAME');
  throwsCode('tpm_structure_too_large', /field of size 65535, at most 66/, () => long.sized(66));
});
