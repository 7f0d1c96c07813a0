import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readPem, readPemCertificates, writePem, writePemCertificates } from '../../src/x509/pem.js';
import { throwsCode } from '../support/rejects.js';

test('what is written is read back', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (der) => {
      const [block] = readPem(`# a note\n\n${writePem('CERTIFICATE', der)}\r\n`);
      assert.deepEqual([block?.label, [...(block?.der ?? [])]], ['CERTIFICATE', [...der]]);
    }),
  );
});

test('lines are 64 characters long', () => {
  const lines = writePem('X', new Uint8Array(100)).split('\n');
  assert.deepEqual([lines[0], lines[1]?.length, lines.at(-2)], ['-----BEGIN X-----', 64, '-----END X-----']);
});

test('several certificates are read in order, and nothing else among them', () => {
  const parts = [Buffer.from([1]), Buffer.from([2])];
  assert.deepEqual(readPemCertificates(writePemCertificates(parts)), parts);
  const withKey = writePemCertificates(parts) + writePem('PRIVATE KEY', Buffer.from('secret'));
  throwsCode('pem_invalid', /block "PRIVATE KEY" where certificates belong/, () =>
    readPemCertificates(withKey),
  );
  throwsCode('pem_invalid', /holds no certificate/, () => readPemCertificates('\n# nothing\n'));
});

test('damaged text is refused with its line, never with its content', () => {
  const good = writePem('CERTIFICATE', Buffer.from('abc'));
  const cases: Array<[string, RegExp]> = [
    ['secret\n', /line 1 is outside a block/],
    [`${good}secret`, /line 4 is outside a block/],
    [good.replace('END CERTIFICATE', 'END KEY'), /block that ends in line 3 is damaged/],
    [good.replace('-----END CERTIFICATE-----', ''), /last block does not end/],
    [good.replace('YWJj', 'YWJ'), /line 3 is not padded base64/],
    [good.replace('YWJj', 'YW_j'), /line 3 is damaged/],
    [good.replace('YWJj', 'YWJj='), /line 3 is not padded base64/],
    [good.replace('YWJj', 'Proc-Type: 4,ENCRYPTED'), /line 3 is damaged/],
    [good.replace('YWJj', ''), /line 3 is not padded base64/],
    ['x'.repeat(9 * 1024 * 1024), /longer than 8388608 characters/],
  ];
  for (const [text, message] of cases)
    throwsCode('pem_invalid', message, () => readPem(text), text.slice(0, 80));
});
