import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  bitString,
  derTrue,
  enterWhole,
  expect,
  expectEnd,
  octetString,
  oid,
  readBits,
  readElement,
  reader,
  readFlag,
  readSmall,
  readUnsigned,
  sequence,
  splitDer,
  tag,
  text,
  tlv,
  unsignedInteger,
} from '../../src/x509/der.js';
import { dottedOid } from '../../src/x509/oid.js';
import { throwsCode } from '../support/rejects.js';

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');

test('lengths are written in the shortest form and read back', () => {
  for (const length of [0, 1, 127, 128, 255, 256, 65_535, 65_536]) {
    const der = octetString(new Uint8Array(length));
    const element = readElement(reader(der));
    assert.equal(element.content.length, length);
    assert.equal(element.raw.length, der.length);
  }
  assert.equal(octetString(new Uint8Array(128)).subarray(0, 3).toString('hex'), '048180');
});

test('lengths that are indefinite, not minimal, huge or cut off are refused', () => {
  const cases: Array<[string, RegExp]> = [
    ['30 80 00 00', /indefinite or huge length/],
    ['04 81 7f', /not minimal/],
    ['04 82 00 80', /not minimal/],
    ['04 85 01 00 00 00 00', /indefinite or huge length/],
    ['04 82 01', /ends inside a length/],
    ['04 05 01 02', /longer than what is left/],
    ['04 84 ff ff ff ff', /longer than what is left/],
    ['04', /ends inside an element/],
    ['', /ends inside an element/],
    ['1f 81 00 00', /tag of more than one octet/],
  ];
  for (const [bytes, message] of cases) {
    throwsCode('der_invalid', message, () => readElement(reader(hex(bytes))), bytes);
  }
});

test('integers are non-negative and minimal', () => {
  assert.equal(unsignedInteger(hex('00 00 80')).toString('hex'), '02020080');
  assert.equal(unsignedInteger(hex('')).toString('hex'), '020100');
  assert.deepEqual(readUnsigned(reader(hex('02 02 00 ff')), 'n'), hex('ff'));
  assert.equal(readSmall(reader(hex('02 01 00')), 'n'), 0);
  throwsCode('der_invalid', /empty or negative integer as n/, () =>
    readUnsigned(reader(hex('02 01 80')), 'n'),
  );
  throwsCode('der_invalid', /empty or negative integer as n/, () => readUnsigned(reader(hex('02 00')), 'n'));
  throwsCode('der_invalid', /needless zeros as n/, () => readUnsigned(reader(hex('02 02 00 7f')), 'n'));
  throwsCode('der_invalid', /too large a number as n/, () =>
    readSmall(reader(hex('02 05 01 00 00 00 00')), 'n'),
  );
  throwsCode('der_invalid', /too large a number as n/, () =>
    readSmall(reader(hex('02 05 00 80 00 00 00')), 'n'),
  );
});

test('a boolean that is written is TRUE', () => {
  assert.equal(readFlag(reader(derTrue), 'it'), true);
  assert.equal(readFlag(reader(hex('')), 'it'), false);
  throwsCode('der_invalid', /other than TRUE as it/, () => readFlag(reader(hex('01 01 00')), 'it'));
  throwsCode('der_invalid', /other than TRUE as it/, () => readFlag(reader(hex('01 01 01')), 'it'));
});

test('a bit string is whole octets', () => {
  assert.deepEqual(readBits(reader(bitString(hex('ab'))), 'it'), hex('ab'));
  throwsCode('der_invalid', /not whole octets as it/, () => readBits(reader(hex('03 02 04 f0')), 'it'));
  throwsCode('der_invalid', /not whole octets as it/, () => readBits(reader(hex('03 00')), 'it'));
});

test('a wrong tag and a rest are named', () => {
  throwsCode('der_invalid', /has tag 0x04 where the issuer belongs/, () =>
    expect(reader(hex('04 00')), tag.sequence, 'the issuer'),
  );
  throwsCode('der_invalid', /has nothing where the issuer belongs/, () =>
    expect(reader(hex('')), 0x30, 'the issuer'),
  );
  throwsCode('der_invalid', /something after the end of the key/, () =>
    enterWhole(hex('30 00 00'), 0x30, 'the key'),
  );
  expectEnd(enterWhole(hex('30 00'), 0x30, 'the key'), 'the key');
});

test('object identifiers are written and read', () => {
  for (const dotted of ['1.2.840.113549.1.9.14', '2.5.29.17', '2.23.133.8.1', '0.9.2342', '2.999.1']) {
    const der = oid(dotted);
    assert.equal(dottedOid(der.subarray(2)), dotted);
  }
  assert.equal(oid('1.2.840.10045.4.3.2').toString('hex'), '06082a8648ce3d040302');
});

test('strings are written in their alphabet', () => {
  assert.equal(text(tag.utf8String, 'é').toString('hex'), '0c02c3a9');
  assert.equal(text(tag.ia5String, 'a').toString('hex'), '160161');
  throwsCode('der_invalid', /^"example.org\/ａ" is not ASCII$/, () => text(tag.ia5String, 'example.org/ａ'));
});

test('section 15: concatenated certificates are split with nothing left over', () => {
  const [a, b] = [sequence(octetString(hex('01'))), sequence(octetString(hex('0203')))];
  assert.deepEqual(
    splitDer(Buffer.concat([a, b])).map((part) => Buffer.from(part)),
    [a, b],
  );
  assert.deepEqual(splitDer(new Uint8Array()), []);
  throwsCode('der_invalid', /ends inside an element/, () => splitDer(Buffer.concat([a, hex('30')])));
  throwsCode('der_invalid', /has tag 0x00 where a certificate belongs/, () =>
    splitDer(Buffer.concat([a, hex('00')])),
  );
  throwsCode('der_invalid', /longer than what is left/, () => splitDer(a.subarray(0, a.length - 1)));
  throwsCode('der_invalid', /holds more than 2 elements/, () => splitDer(Buffer.concat([a, a, a]), 2));
});

test('deeply nested input costs nothing, since nothing is read that nobody asked for', () => {
  let der: Uint8Array = octetString(hex('00'));
  for (let i = 0; i < 2000; i++) der = tlv(tag.sequence, der);
  assert.equal(splitDer(der).length, 1);
});

test('whatever bytes come, reading ends with an element inside the bytes or with der_invalid', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      const from = reader(bytes);
      try {
        const element = readElement(from);
        assert.ok(from.offset <= bytes.length && element.raw.length === from.offset);
        assert.deepEqual(tlv(element.tag, element.content), Buffer.from(element.raw));
      } catch (error) {
        assert.match(String(error), /^TouchmarkError: the DER /);
      }
    }),
    { numRuns: 2000 },
  );
});
