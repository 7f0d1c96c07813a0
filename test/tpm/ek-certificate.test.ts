import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import type { ErrorCode } from '../../src/errors.js';
import { readTpmCertificate } from '../../src/tpm/certificate.js';
import { checkCertificateKey, readEkCertificate } from '../../src/tpm/ek-certificate.js';
import { certificateInNv, certificatesInNv } from '../../src/tpm/nv-certificate.js';
import { parsePublic } from '../../src/tpm/public.js';
import { ekHash, type PlainKey, plainKeyOf } from '../../src/tpm/spki.js';
import { bitString, oid, sequence, tag, tlv, unsignedInteger } from '../../src/x509/der.js';
import { encodeName } from '../../src/x509/name.js';
import { readPemCertificates } from '../../src/x509/pem.js';
import {
  createEkAuthority,
  type EkCertificateOptions,
  plainKeyFrom,
  unknownCritical,
} from '../fakes/ek-authority.js';
import { createSoftwareTpm } from '../fakes/software-tpm.js';
import { throwsCode } from '../support/rejects.js';
import { haveVectors, readVector } from '../support/vectors.js';
import { readRecorded } from '../vectors/recorded.js';

const authority = createEkAuthority();
const rsa = plainKeyFrom(generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey);
const chip = createSoftwareTpm();
const p256 = plainKeyOf(chip.ek('p256-l2').public);

const issue = (options: EkCertificateOptions = {}, key: PlainKey = p256) => authority.issue(key, options);
const codesOf = (der: Uint8Array): string[] => readEkCertificate(der).deviations.map(({ code }) => code);

test('a certificate after the profile is read without any deviation', () => {
  const { manufacturer, model, version, spkiHash, notAfter, deviations } = readEkCertificate(issue());
  assert.deepEqual([manufacturer, model, version], ['TEST', 'soft', '00010002']);
  assert.equal(spkiHash, ekHash(chip.ek('p256-l2').public));
  assert.equal(notAfter, Date.UTC(2046, 0, 1));
  assert.deepEqual(deviations, []);
});

test('a real Nuvoton certificate: empty subject, critical name, several attributes in one relative name', (t) => {
  if (!haveVectors(t)) return;
  const [der] = readPemCertificates(readVector('ek/nuvoton_npct75x_rsa.pem').toString());
  assert.ok(der);
  const { manufacturer, model, version, spkiHash, deviations } = readEkCertificate(der);
  assert.deepEqual([manufacturer, model, version], ['NTC', 'NPCT75x', '00070002']);
  assert.equal(spkiHash, '5f4f4e37a35ed4d11ae72587e5f0c87b3ce784fa372767f9f986b0b7bf29a328');
  assert.deepEqual(
    deviations.map(({ code }) => code),
    ['rdn_multi_valued'],
  );
});

test('certificates of swtpm: the key is that of the public area, and of no other', () => {
  for (const folder of ['vm', 'swtpm']) {
    const ek = parsePublic(readRecorded(`${folder}/ek-rsa-2048.tpmt_public`));
    const found = readEkCertificate(readRecorded(`${folder}/ek-rsa-2048.der`));
    checkCertificateKey(found, ek);
    assert.equal(found.spkiHash, ekHash(ek));
    assert.equal(found.manufacturer, 'id:00001014');
    const other = readEkCertificate(readRecorded(`${folder}/ek-ecc-p384.der`));
    assert.equal(other.key.type === 'ecc' && other.key.curve, 'P-384');
    throwsCode('ek_certificate_other_key', /P-384 key in the certificate is not the RSA-2048/, () =>
      checkCertificateKey(other, ek),
    );
  }
  const vm = readEkCertificate(readRecorded('vm/ek-rsa-2048.der'));
  const elsewhere = parsePublic(readRecorded('swtpm/ek-rsa-2048.tpmt_public'));
  throwsCode('ek_certificate_other_key', /RSA-2048 .* RSA-2048/, () => checkCertificateKey(vm, elsewhere));
});

test('platform certificates are recognised', () => {
  const task = () => readEkCertificate(readRecorded('vm/platform.der'));
  throwsCode('ek_certificate_platform', /is a platform certificate, not one of an endorsement key/, task);
});

test('platform attribute certificates are recognised', (t) => {
  if (!haveVectors(t)) return;
  for (const name of ['platform/Intel_nuc_pc.cer', 'platform/plat_cert1.cer']) {
    const task = () => readEkCertificate(readVector(name));
    throwsCode('ek_certificate_platform', /attribute certificate, which describes a platform/, task, name);
  }
});

test('what real chips get wrong is let pass and reported', () => {
  const rows: [options: EkCertificateOptions, codes: string[]][] = [
    [{ san: 'multi' }, ['rdn_multi_valued']],
    [{ san: 'none' }, ['san_missing', 'manufacturer_from_issuer']],
    [{ sanCritical: false }, ['san_not_critical']],
    [{ sanCritical: false, subject: encodeName({ commonName: 'chip' }) }, []],
    [{ manufacturer: 'Acme' }, ['manufacturer_form', 'manufacturer_from_issuer']],
    [{ serial: tlv(tag.integer, Uint8Array.of(0x80, 1)) }, ['serial_negative']],
    [{ serial: tlv(tag.integer, Uint8Array.of(0)) }, ['serial_zero']],
    [{ serial: tlv(tag.integer, new Uint8Array(21).fill(1)) }, ['serial_long']],
    [{ authority: null }, ['basic_constraints_missing']],
    [{ keyUsage: null }, ['key_usage_missing']],
    [{ keyUsage: 0x20 }, ['key_usage_of_other_algorithm']],
    [{ usages: [] }, []],
    [{ usages: ['1.2.3', '2.23.133.8.1'] }, []],
  ];
  for (const [options, codes] of rows)
    assert.deepEqual(codesOf(issue(options)), codes, JSON.stringify(options));
});

test('the vendor of a certificate without a name of the TPM is read from its issuer', () => {
  const vendor = createEkAuthority('Infineon OPTIGA(TM) TPM 2.0 RSA CA 003');
  assert.equal(readEkCertificate(vendor.issue(p256, { san: 'none' })).manufacturer, 'IFX');
  assert.equal(readEkCertificate(issue({ san: 'none' })).manufacturer, 'unknown');
});

test('a key marked id-RSAES-OAEP is the same key', () => {
  assert.ok(rsa.type === 'rsa');
  const numbers = sequence(unsignedInteger(rsa.modulus), unsignedInteger(Uint8Array.of(1, 0, 1)));
  const spki = sequence(sequence(oid('1.2.840.113549.1.1.7')), bitString(numbers));
  const found = readEkCertificate(issue({ spki }, rsa));
  assert.equal(found.spkiHash, readEkCertificate(issue({}, rsa)).spkiHash);
  assert.deepEqual(
    found.deviations.map(({ code }) => code),
    ['spki_rsaes_oaep'],
  );
});

test('a modulus written without its sign octet is the same key', () => {
  assert.ok(rsa.type === 'rsa');
  const numbers = sequence(tlv(tag.integer, rsa.modulus), unsignedInteger(Uint8Array.of(1, 0, 1)));
  const spki = sequence(sequence(oid('1.2.840.113549.1.1.1')), bitString(numbers));
  assert.deepEqual(codesOf(issue({ spki }, rsa)), ['modulus_negative']);
});

test('lengths that are not minimal are read', () => {
  const der = issue();
  const content = der.subarray(4);
  const long = Buffer.concat([
    Buffer.from([0x30, 0x84, 0, 0, content.length >> 8, content.length & 0xff]),
    content,
  ]);
  assert.deepEqual(codesOf(long), ['der_not_minimal']);
});

test('what is no certificate of an endorsement key is refused', () => {
  const point = sequence(
    sequence(oid('1.2.840.10045.2.1'), oid('1.3.132.0.10')),
    bitString(new Uint8Array(65).fill(4)),
  );
  const small = plainKeyFrom(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey);
  const rows: [EkCertificateOptions, PlainKey, ErrorCode, RegExp][] = [
    [{ usages: ['2.23.133.8.2'] }, p256, 'ek_certificate_platform', /platform certificate/],
    [{ usages: ['2.23.133.8.3'] }, p256, 'ek_certificate_usage', /2.23.133.8.3, not for an endorsement key/],
    [{ usages: ['2.5.29.37.0'] }, p256, 'ek_certificate_usage', /not for an endorsement key/],
    [{ authority: true }, p256, 'ek_certificate_usage', /certificate authority/],
    [{ keyUsage: 0x80 }, p256, 'ek_certificate_usage', /key usage that does not fit/],
    [{ keyUsage: 0x2c }, p256, 'ek_certificate_usage', /key usage/],
    [{ extra: [unknownCritical()] }, p256, 'ek_certificate_critical', /1.2.3.4.5, which is not understood/],
    [{ spki: point }, p256, 'ek_certificate_key', /another curve/],
    [{}, small, 'ek_certificate_key', /RSA key of 1024 bits/],
    [
      { spki: sequence(sequence(oid('1.3.101.112')), bitString(new Uint8Array(32))) },
      p256,
      'ek_certificate_key',
      /1.3.101.112/,
    ],
  ];
  for (const [options, key, code, message] of rows) {
    throwsCode(code, message, () => readEkCertificate(issue(options, key)), JSON.stringify(options));
  }
});

test('a certificate that is cut off anywhere, or goes on, is refused in words', () => {
  const der = issue();
  for (let length = 0; length < der.length; length++) {
    throwsCode(
      'ek_certificate_invalid',
      /^the certificate /,
      () => readTpmCertificate(der.subarray(0, length)),
      `${length}`,
    );
  }
  throwsCode('ek_certificate_invalid', /one element/, () => readTpmCertificate(Buffer.concat([der, der])));
  throwsCode('ek_certificate_invalid', /8193 bytes, at most 8192/, () =>
    readTpmCertificate(new Uint8Array(8193)),
  );
  throwsCode('ek_certificate_invalid', /indefinite/, () =>
    readTpmCertificate(Buffer.from('30800000', 'hex')),
  );
});

test('NV content: DER alone, padded, behind the header of stored certificates, several in a row', () => {
  const der = issue();
  const padding = Buffer.alloc(100, 0xff);
  const header = Buffer.from([0x10, 0x01, 0x00, der.length >> 8, der.length & 0xff]);
  for (const content of [der, Buffer.concat([der, padding]), Buffer.concat([header, der, padding])]) {
    assert.deepEqual(Buffer.from(certificateInNv(content)), der);
  }
  throwsCode('ek_certificate_invalid', /does not begin with a sequence/, () => certificateInNv(padding));
  throwsCode('ek_certificate_invalid', /longer than what is left/, () =>
    certificateInNv(der.subarray(0, 50)),
  );
  const chain = certificatesInNv(Buffer.concat([der, der, Buffer.alloc(8)]));
  assert.deepEqual(
    chain.map((one) => Buffer.from(one)),
    [der, der],
  );
  assert.deepEqual(certificatesInNv(padding), []);
});
