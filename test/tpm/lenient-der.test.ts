import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TouchmarkError } from '../../src/errors.js';
import { parseQuote } from '../../src/tpm/attest.js';
import { readTpmCertificate } from '../../src/tpm/certificate.js';
import { readEkCertificate } from '../../src/tpm/ek-certificate.js';
import { bitsOf, contentOf, elementAt, elementsInside, elementsOf } from '../../src/tpm/lenient-der.js';
import { certificatesInNv } from '../../src/tpm/nv-certificate.js';
import { parsePublic } from '../../src/tpm/public.js';
import { parseSignature } from '../../src/tpm/signature.js';
import { throwsCode } from '../support/rejects.js';

const hex = (text: string): Buffer => Buffer.from(text, 'hex');
const code = 'ek_certificate_invalid';

test('elements in a row, with their bytes as written', () => {
  const [first, second] = elementsOf(hex('0201053000'));
  assert.deepEqual(
    [first?.tag, Buffer.from(first?.content ?? []), Buffer.from(first?.raw ?? [])],
    [2, hex('05'), hex('020105')],
  );
  assert.equal(second?.tag, 0x30);
  assert.deepEqual(elementsOf(new Uint8Array()), []);
});

test('lengths that are not minimal are read and noted', () => {
  const notes: string[] = [];
  const note = (what: string): void => void notes.push(what);
  assert.deepEqual(Buffer.from(elementAt(hex('0284000000010a'), 0, note).content), hex('0a'));
  assert.deepEqual(Buffer.from(elementAt(hex('02810105'), 0, note).content), hex('05'));
  assert.deepEqual(notes, ['der_not_minimal', 'der_not_minimal']);
  elementAt(Buffer.concat([hex('048180'), Buffer.alloc(128)]), 0, note);
  assert.equal(notes.length, 2);
});

test('nothing else is forgiven', () => {
  throwsCode(code, /ends inside an element/, () => elementsOf(hex('02')));
  throwsCode(code, /longer than what is left/, () => elementsOf(hex('020201')));
  throwsCode(code, /longer than what is left/, () => elementsOf(hex('0284ffffffff')));
  throwsCode(code, /indefinite or huge/, () => elementsOf(hex('3080')));
  throwsCode(code, /indefinite or huge/, () => elementsOf(hex('30850000000001')));
  throwsCode(code, /ends inside a length/, () => elementsOf(hex('308200')));
  throwsCode(code, /more than one octet/, () => elementsOf(hex('1f8101')));
  throwsCode(code, /more than 256 elements/, () => elementsOf(Buffer.alloc(257 * 2, hex('0500'))));
  throwsCode(code, /tag 0x5 where a number belongs/, () =>
    contentOf(elementAt(hex('0500'), 0), 2, 'a number'),
  );
  throwsCode(code, /nothing where a number belongs/, () => contentOf(undefined, 2, 'a number'));
  throwsCode(code, /something else than one element as a list/, () =>
    elementsInside(hex('30003000'), 0x30, 'a list'),
  );
  throwsCode(code, /not whole octets/, () => bitsOf(elementAt(hex('030204a0'), 0), 'bits'));
  assert.deepEqual(Buffer.from(bitsOf(elementAt(hex('030204a0'), 0), 'bits', true)), hex('a0'));
});

test('whatever bytes come, readers answer or refuse in words', () => {
  const readers = [
    readTpmCertificate,
    readEkCertificate,
    certificatesInNv,
    parsePublic,
    parseQuote,
    parseSignature,
  ];
  const tagged = fc
    .uint8Array({ maxLength: 60 })
    .map((rest) => Uint8Array.from([0x30, rest.length, ...rest]));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), tagged), (bytes) => {
      for (const read of readers) {
        try {
          read(bytes);
        } catch (error) {
          assert.ok(error instanceof TouchmarkError, String(error));
        }
      }
    }),
    { numRuns: 500 },
  );
});
