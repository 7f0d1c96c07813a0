import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readElement, reader, tag, text } from '../../src/x509/der.js';
import { decodeTime, encodeTime } from '../../src/x509/time.js';
import { throwsCode } from '../support/rejects.js';

const decode = (der: Uint8Array) => decodeTime(readElement(reader(der)));

test('times are UTCTime through 2049 and GeneralizedTime from 2050', () => {
  assert.deepEqual(encodeTime(Date.UTC(2049, 11, 31, 23, 59, 59) / 1000), text(tag.utcTime, '491231235959Z'));
  assert.deepEqual(encodeTime(Date.UTC(2050, 0, 1) / 1000), text(tag.generalizedTime, '20500101000000Z'));
});

test('every second from 1970 to 9999 survives', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 253_402_300_799 }), (time) => decode(encodeTime(time)) === time),
  );
});

test('the years of UTCTime lie between 1950 and 2049, and 9999 means without end', () => {
  assert.equal(decode(text(tag.utcTime, '500101000000Z')), Date.UTC(1950, 0, 1) / 1000);
  assert.equal(decode(text(tag.generalizedTime, '99991231235959Z')), 253_402_300_799);
});

test('times without seconds, with zones, fractions or impossible days are refused', () => {
  const bad: Array<[number, string]> = [
    [tag.utcTime, '2601010000Z'],
    [tag.utcTime, '260101000000+0000'],
    [tag.utcTime, '260230000000Z'],
    [tag.utcTime, '260101240000Z'],
    [tag.utcTime, '261301000000Z'],
    [tag.utcTime, '260101006000Z'],
    [tag.utcTime, ''],
    [tag.utcTime, '26010100000 Z'],
    [tag.utcTime, '26-1-1000000Z'],
    [tag.generalizedTime, '19491231235959Z'],
    [tag.generalizedTime, '00260101000000Z'],
    [tag.generalizedTime, '20260101000000.5Z'],
    [tag.generalizedTime, '20260101000000'],
    [tag.generalizedTime, '260101000000Z'],
    [tag.octetString, '260101000000Z'],
  ];
  for (const [kind, written] of bad) {
    throwsCode('certificate_invalid', /^the certificate has "/, () => decode(text(kind, written)), written);
  }
});
