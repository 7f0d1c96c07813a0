import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { TouchmarkError } from '../../src/errors.js';
import { bitString, derNull, oid, sequence, tag, tlv } from '../../src/x509/der.js';
import { extension } from '../../src/x509/extensions.js';
import { describeName } from '../../src/x509/name.js';
import { readPem } from '../../src/x509/pem.js';
import { readCertificate } from '../../src/x509/read-certificate.js';
import { makeLeaf, makeRoot, type Recipe } from '../support/der-factory.js';
import { throwsCode } from '../support/rejects.js';
import { haveVectors, readVector } from '../support/vectors.js';

const root = makeRoot({ keyIds: true, pathLength: 3 });
const read = (recipe: Recipe) => readCertificate(makeLeaf(root, recipe).der);
const refuses = (message: RegExp, recipe: Recipe) =>
  throwsCode('certificate_invalid', message, () => read(recipe));

test('every field of an authority is read', () => {
  const certificate = readCertificate(root.der);
  assert.equal(certificate.version, 3);
  assert.equal(certificate.serial, '0707');
  assert.equal(certificate.pathLength, 3);
  assert.equal(describeName(certificate.subjectDer), 'CN=root');
  assert.equal(Buffer.compare(certificate.tbs, root.der.subarray(4, 4 + certificate.tbs.length)), 0);
  assert.equal(certificate.subjectKeyId?.length, 20);
  assert.deepEqual(certificate.authorityKeyId, certificate.subjectKeyId);
});

test('section 15: what node:crypto does not tell is told: usage bits, criticality, other names', () => {
  const leaf = read({
    otherNames: [tlv(0x87, Uint8Array.of(1, 2, 3, 4))],
    altNamesCritical: true,
    keyUsageCritical: false,
  });
  assert.equal(leaf.keyUsage, 0x80);
  assert.equal(leaf.keyUsageCritical, false);
  assert.equal(leaf.altNamesCritical, true);
  assert.deepEqual(leaf.otherKinds, [0x87]);
});

test('an old version has no extensions', () => {
  refuses(/extensions in an old version/, { version: null });
  refuses(/extensions in an old version/, { version: 2 });
  refuses(/of version 4/, { version: 4 });
  const bare: Recipe = { version: null, altNames: null, keyUsage: null, purposes: null, authority: null };
  assert.equal(read(bare).version, 1);
});

test('two signature algorithms, a long serial and a repeated extension are refused', () => {
  refuses(/two different signature algorithms/, { innerAlgorithm: sequence(oid('1.2.840.10045.4.3.3')) });
  refuses(/serial number is longer than 20 bytes/, { serial: new Uint8Array(21).fill(1) });
  refuses(/extension 1\.2\.3 comes twice/, {
    more: [extension(oid('1.2.3'), false, derNull), extension(oid('1.2.3'), false, derNull)],
  });
  const many = Array.from({ length: 64 }, (_, i) => extension(oid(`1.2.3.${i}`), false, derNull));
  refuses(/more than 64 extensions/, { more: many });
});

test('extensions that are not well formed are refused', () => {
  const broken = (id: string, value: string) => ({
    more: [extension(oid(id), true, Buffer.from(value, 'hex'))],
  });
  const without: Recipe = { altNames: null, keyUsage: null, purposes: null, authority: null };
  const cases: Array<[string, string, RegExp]> = [
    ['2.5.29.15', '03010a', /key usage is no bit string/],
    ['2.5.29.15', '030500ffffffff', /key usage is no bit string/],
    ['2.5.29.19', '3003020101', /path length stands in a certificate that is no authority/],
  ];
  for (const [id, value, message] of cases) refuses(message, { ...without, ...broken(id, value) });
  const der: Array<[string, string]> = [
    ['2.5.29.17', '0400'],
    ['2.5.29.19', '3003010100'],
    ['2.5.29.37', '30020500'],
    ['2.5.29.14', '0c00'],
    ['2.5.29.35', '0400'],
    ['2.5.29.15', '030200800500'],
  ];
  for (const [id, value] of der) {
    throwsCode(
      'der_invalid',
      /^the DER /,
      () => read({ ...without, ...broken(id, value) }),
      `${id} ${value}`,
    );
  }
});

test('a certificate that is too large is refused before it is read', () => {
  throwsCode('certificate_invalid', /longer than 65536 bytes/, () => readCertificate(new Uint8Array(65_537)));
});

test('an unused bit in the signature is refused', () => {
  const { tbs, signatureAlgorithm, signature } = readCertificate(root.der);
  const good = sequence(tbs, signatureAlgorithm, bitString(signature));
  assert.deepEqual(good, root.der);
  const bad = sequence(tbs, signatureAlgorithm, tlv(tag.bitString, Uint8Array.of(1), signature));
  throwsCode('der_invalid', /not whole octets as the signature/, () => readCertificate(bad));
});

test('random damage ends in an error or in a certificate, never in anything else', () => {
  fc.assert(
    fc.property(fc.nat(root.der.length - 1), fc.nat(255), fc.nat(root.der.length), (at, value, end) => {
      const bad = Buffer.from(root.der.subarray(0, Math.max(at + 1, end)));
      bad[at] = value;
      try {
        assert.equal(readCertificate(bad).der.length, bad.length);
      } catch (error) {
        assert.ok(error instanceof TouchmarkError, String(error));
      }
    }),
    { numRuns: 3000 },
  );
});

test('real certificates of TPM vendors read as node:crypto reads them', (t) => {
  if (!haveVectors(t)) return;
  let count = 0;
  for (const file of ['ca/roots.pem', 'ca/intermediates.pem']) {
    for (const { der } of readPem(withoutComments(readVector(file).toString('latin1')))) {
      const ours = readCertificate(der);
      const theirs = new X509Certificate(der);
      assert.equal(ours.serial, theirs.serialNumber.toLowerCase());
      assert.equal(ours.notBefore, Date.parse(theirs.validFrom) / 1000);
      assert.equal(ours.notAfter, Date.parse(theirs.validTo) / 1000);
      assert.equal(ours.authority, theirs.ca);
      count += 1;
    }
  }
  assert.ok(count > 10, `${count} certificates`);
});

/** The collection has descriptions between its blocks. */
function withoutComments(pem: string): string {
  return (pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).join('\n');
}
