import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { curveByName, digest, hashById, hashByName, isHashName } from '../../src/tpm/algorithms.js';
import { parseCertify, parseQuote } from '../../src/tpm/attest.js';
import { attestationKeyTemplate } from '../../src/tpm/attestation-key.js';
import { attribute, attributeNames } from '../../src/tpm/attributes.js';
import { describeSelection, pcrDigest, readSelections, serialiseSelections } from '../../src/tpm/pcr.js';
import { parsePublic, parseSizedPublic, serialisePublic } from '../../src/tpm/public.js';
import { readerOf } from '../../src/tpm/reader.js';
import { ieeeP1363, parseSignature, serialiseSignature } from '../../src/tpm/signature.js';
import { keyObjectOf, modulusBits } from '../../src/tpm/spki.js';
import { join, padded, sized, u8, u16, u32, u64 } from '../../src/tpm/writer.js';
import { createSoftwareTpm } from '../fakes/software-tpm.js';
import { throwsCode } from '../support/rejects.js';

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));

test('what is written is read again, number by number', () => {
  const reader = readerOf(
    join(u8(7), u16(0xfffe), u32(0xfffffffd), u64(2n ** 64n - 1n), sized(hex('0102'))),
    'X',
  );
  assert.deepEqual([reader.u8(), reader.u16(), reader.u32()], [7, 0xfffe, 0xfffffffd]);
  assert.equal(reader.u64(), 2n ** 64n - 1n);
  assert.deepEqual(reader.sized(2), hex('0102'));
  assert.equal(reader.left(), 0);
  reader.end();
});

test('a reader never goes beyond its bytes, and a size is bounded before anything is taken', () => {
  throwsCode('tpm_structure_truncated', /X is cut off: 4 bytes wanted at offset 0 of 1/, () =>
    readerOf(u8(1), 'X').u32(),
  );
  throwsCode('tpm_structure_truncated', /5 bytes wanted at offset 2 of 3/, () =>
    readerOf(hex('000500'), 'X').sized(9),
  );
  throwsCode('tpm_structure_too_large', /size 65535, at most 9/, () => readerOf(hex('ffff'), 'X').sized(9));
  throwsCode('tpm_structure_trailing', /X is followed by 1 bytes/, () => readerOf(u8(1), 'X').end());
});

test('bytes that were read do not change with the buffer that they came from', () => {
  const buffer = Uint8Array.of(1, 2, 3, 4);
  const read = readerOf(buffer.subarray(1), 'X').bytes(2);
  buffer.fill(9);
  assert.deepEqual(read, Uint8Array.of(2, 3));
});

test('numbers are padded to their size, and lose nothing but zeros', () => {
  assert.deepEqual(padded(hex('01'), 3), hex('000001'));
  assert.deepEqual(padded(hex('00000001'), 3), hex('000001'));
  assert.throws(() => padded(hex('01000000'), 3), RangeError);
});

const template = attestationKeyTemplate(new Uint8Array(32).fill(3));

test('the attestation key template has 88 bytes and reads as it was written', () => {
  const bytes = serialisePublic(template);
  assert.equal(bytes.length, 88);
  assert.deepEqual(parsePublic(bytes), template);
  assert.deepEqual(parseSizedPublic(sized(bytes)), template);
});

test('a public area with something behind it, cut off anywhere, or with a wrong size is refused', () => {
  const bytes = serialisePublic(template);
  throwsCode('tpm_structure_trailing', /TPMT_PUBLIC is followed by 1/, () => parsePublic(join(bytes, u8(0))));
  throwsCode('tpm_structure_trailing', /TPM2B_PUBLIC is followed by 1/, () =>
    parseSizedPublic(join(sized(bytes), u8(0))),
  );
  for (let length = 0; length < bytes.length; length++) {
    throwsCode(
      'tpm_structure_truncated',
      /cut off/,
      () => parsePublic(bytes.subarray(0, length)),
      `${length}`,
    );
  }
});

test('algorithms that are not understood are named', () => {
  const at = (offset: number, value: number): Uint8Array => {
    const bytes = Buffer.from(serialisePublic(template));
    bytes.writeUInt16BE(value, offset);
    return bytes;
  };
  const rows = [
    [0, 0x0025, /key type 0x0025/],
    [2, 0x0012, /hash algorithm 0x0012/],
    [10, 0x0013, /symmetric scheme 0x0013/],
    [12, 0x001a, /signing scheme 0x001a/],
    [16, 0x0010, /curve 0x0010/],
    [18, 0x0020, /key derivation scheme 0x0020/],
  ] as const;
  for (const [offset, value, message] of rows) {
    throwsCode('tpm_algorithm_unsupported', message, () => parsePublic(at(offset, value)), `${offset}`);
  }
});

test('hashes, banks and curves are found by number and by name', () => {
  assert.deepEqual(hashById(0x000c), { name: 'sha384', id: 0x000c, size: 48 });
  assert.equal(hashByName('sha1').size, 20);
  assert.equal(isHashName('sha512'), true);
  assert.equal(isHashName('__proto__'), false);
  assert.equal(curveByName('P-521').size, 66);
  throwsCode('tpm_algorithm_unsupported', /"md5"/, () => hashByName('md5'));
});

test('attributes in words', () => {
  assert.equal(attributeNames(attribute.restricted | attribute.sign), 'restricted+sign');
  assert.equal(attributeNames(0), 'none');
  assert.equal(attributeNames(0x80000000), '0x80000000');
});

test('signatures read as they were written; lengths that fit no key are refused', () => {
  const ecdsa = { algorithm: 'ecdsa', hash: 'sha256', r: hex('01'), s: hex('02') } as const;
  const rsa = { algorithm: 'rsapss', hash: 'sha384', value: new Uint8Array(256) } as const;
  for (const signature of [ecdsa, rsa])
    assert.deepEqual(parseSignature(serialiseSignature(signature)), signature);
  assert.deepEqual(ieeeP1363(ecdsa, 2), hex('00010002'));
  throwsCode('tpm_structure_too_large', /too long for its curve/, () =>
    ieeeP1363({ r: new Uint8Array(33), s: hex('01') }, 32),
  );
  throwsCode('tpm_structure_trailing', /TPMT_SIGNATURE/, () =>
    parseSignature(join(serialiseSignature(rsa), u8(0))),
  );
  throwsCode('tpm_structure_too_large', /513/, () => parseSignature(join(u16(0x14), u16(0x0b), u16(513))));
  throwsCode('tpm_algorithm_unsupported', /0x0005/, () => parseSignature(join(u16(5), u16(0x0b), u16(0))));
});

test('PCR selections are read as they were written, and bounded', () => {
  const some = fc.uniqueArray(fc.integer({ min: 0, max: 23 })).map((pcrs) => pcrs.sort((a, b) => a - b));
  fc.assert(
    fc.property(some, some, (a, b) => {
      const selections = [
        { bank: 'sha1', pcrs: a },
        { bank: 'sha256', pcrs: b },
      ] as const;
      const reader = readerOf(serialiseSelections(selections), 'X');
      assert.deepEqual(readSelections(reader), selections);
      reader.end();
    }),
  );
  throwsCode('tpm_structure_too_large', /size 5, at most 4/, () => readSelections(readerOf(u32(5), 'X')));
  const two = (a: number, b: number) =>
    readerOf(join(u32(2), u16(a), u8(1), u8(1), u16(b), u8(1), u8(0)), 'X');
  throwsCode('tpm_structure_invalid', /bank sha256 twice/, () => readSelections(two(0x0b, 0x0b)));
  throwsCode('tpm_algorithm_unsupported', /hash algorithm 0x0012/, () => readSelections(two(0x0b, 0x12)));
  const wide = join(u32(1), u16(0x0b), u8(4), u32(0));
  throwsCode('tpm_structure_too_large', /size 4, at most 3/, () => readSelections(readerOf(wide, 'X')));
  throwsCode('pcr_selection_invalid', /PCR 24 does not exist/, () =>
    serialiseSelections([{ bank: 'sha256', pcrs: [24] }]),
  );
  assert.equal(describeSelection([]), 'nothing');
});

test('the PCR digest goes by ascending index, and a missing value is never a zero', () => {
  const values = new Map([
    [7, new Uint8Array(32).fill(7)],
    [0, new Uint8Array(32)],
  ]);
  const wanted = digest('sha256', new Uint8Array(32), new Uint8Array(32).fill(7));
  assert.deepEqual(pcrDigest('sha256', { bank: 'sha256', pcrs: [7, 0] }, values), wanted);
  const task = (pcrs: number[]) => () => pcrDigest('sha256', { bank: 'sha256', pcrs }, values);
  throwsCode('pcr_values_invalid', /PCR 1 in bank sha256 is missing/, task([0, 1]));
  values.set(1, new Uint8Array(20));
  throwsCode('pcr_values_invalid', /PCR 1 in bank sha256 has 20 bytes instead of 32/, task([0, 1]));
});

test('a quote that is cut off anywhere, goes on, or has a third truth value is refused', async () => {
  const { attest } = await createSoftwareTpm().quote(new Uint8Array(32), new Uint8Array(32), {
    bank: 'sha256',
    pcrs: [0],
  });
  assert.equal(parseQuote(attest).resetCount, 1);
  assert.equal(attest.length, 145);
  for (let length = 0; length < attest.length; length++) {
    throwsCode(
      'tpm_structure_truncated',
      /TPMS_ATTEST is cut off/,
      () => parseQuote(attest.subarray(0, length)),
      `${length}`,
    );
  }
  throwsCode('tpm_structure_trailing', /TPMS_ATTEST/, () => parseQuote(join(attest, u8(0))));
  const odd = Buffer.from(attest);
  odd[92] = 2; // 6 header, 36 signer, 34 extraData, 8 clock, 8 counters: the byte `safe`
  throwsCode('tpm_structure_invalid', /TPMI_YES_NO has the value 2/, () => parseQuote(odd));
  throwsCode('quote_type', /0x8018 and is not a certification/, () => parseCertify(attest));
});

test('a key that is none is refused: a point off its curve, a coordinate too long', () => {
  const off = {
    type: 'ecc',
    curve: 'P-256',
    x: new Uint8Array(32).fill(1),
    y: new Uint8Array(32).fill(1),
  } as const;
  throwsCode('tpm_key_invalid', /not a valid P-256 key/, () => keyObjectOf(off));
  throwsCode('tpm_key_invalid', /33 bytes is too long/, () =>
    keyObjectOf({ ...off, x: new Uint8Array(33).fill(1) }),
  );
  assert.equal(modulusBits(hex('00ff')), 8);
  assert.equal(modulusBits(new Uint8Array(4)), 0);
});
