import assert from 'node:assert/strict';
import { constants, generateKeyPairSync, sign } from 'node:crypto';
import { test } from 'node:test';
import { readTpmCertificate, type TpmCertificate } from '../../src/tpm/certificate.js';
import { isIssuedBy, schemeOf } from '../../src/tpm/certificate-signature.js';
import { derNull, oid, sequence, tag, tlv, unsignedInteger } from '../../src/x509/der.js';
import { createEkAuthority, plainKeyFrom } from '../fakes/ek-authority.js';
import { throwsCode } from '../support/rejects.js';

const key = plainKeyFrom(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey);
const rsa = createEkAuthority('RSA', { algorithm: 'rsa' });
const ec = createEkAuthority('EC');
const issuer = readTpmCertificate(rsa.der);
const plain = readTpmCertificate(rsa.issue(key));

const sha2 = {
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
  sha512: '2.16.840.1.101.3.4.2.3',
} as const;

/** RSASSA-PSS-params; `mask` is the hash of MGF1. */
function pssParameters(hash: string, mask: string, salt: number): Buffer {
  const inner = sequence(oid(mask), derNull);
  return sequence(
    tlv(tag.constructed(0), sequence(oid(hash), derNull)),
    tlv(tag.constructed(1), sequence(oid('1.2.840.113549.1.1.8'), inner)),
    tlv(tag.constructed(2), unsignedInteger(Uint8Array.of(salt))),
  );
}

/** The same signed part under another algorithm and signature: what the verifier looks at. */
function signedWith(algorithm: TpmCertificate['algorithm'], signature: Uint8Array): TpmCertificate {
  return { ...plain, algorithm, signature };
}

const PSS = '1.2.840.113549.1.1.10';
const padding = constants.RSA_PKCS1_PSS_PADDING;

test('RSASSA-PSS signatures verify with the hash and salt that they name', () => {
  for (const [name, id] of Object.entries(sha2)) {
    const signature = sign(name, plain.tbs, { key: rsa.key, padding, saltLength: 32 });
    const certificate = signedWith({ oid: PSS, parameters: pssParameters(id, id, 32) }, signature);
    assert.equal(isIssuedBy(certificate, issuer), true, name);
    const salted = signedWith({ oid: PSS, parameters: pssParameters(id, id, 20) }, signature);
    assert.equal(isIssuedBy(salted, issuer), false, name);
  }
});

test('RSASSA-PSS with mixed hashes, SHA-1 by default or odd parameters is refused', () => {
  const rows = [
    pssParameters(sha2.sha256, sha2.sha384, 32),
    pssParameters('1.3.14.3.2.26', '1.3.14.3.2.26', 20),
    sequence(),
  ];
  for (const parameters of rows) {
    const certificate = signedWith({ oid: PSS, parameters }, plain.signature);
    throwsCode('ek_certificate_invalid', /1.2.840.113549.1.1.10, which is not supported/, () =>
      schemeOf(certificate),
    );
  }
});

test('algorithms that are too weak or unknown are refused by name', () => {
  for (const id of ['1.2.840.113549.1.1.4', '1.3.101.112', '1.2.3']) {
    const certificate = signedWith({ oid: id, parameters: derNull }, plain.signature);
    throwsCode('ek_certificate_invalid', /which is not supported/, () => isIssuedBy(certificate, issuer), id);
  }
});

test("a signature by a key of another kind, another key or over other bytes is not the issuer's", () => {
  assert.equal(isIssuedBy(plain, issuer), true);
  assert.equal(isIssuedBy(plain, readTpmCertificate(ec.der)), false);
  assert.equal(
    isIssuedBy(plain, readTpmCertificate(createEkAuthority('RSA', { algorithm: 'rsa' }).der)),
    false,
  );
  assert.equal(isIssuedBy({ ...plain, tbs: plain.tbs.subarray(1) }, issuer), false);
  assert.equal(isIssuedBy({ ...plain, signature: plain.signature.subarray(1) }, issuer), false);
  assert.equal(isIssuedBy({ ...plain, signature: new Uint8Array() }, issuer), false);
});

test('a certificate whose two algorithm fields differ is refused', () => {
  const der = Buffer.from(rsa.issue(key));
  const algorithm = Buffer.from('2a864886f70d01010b', 'hex');
  const outer = der.lastIndexOf(algorithm);
  der[outer + algorithm.length - 1] = 0x0c;
  throwsCode('ek_certificate_invalid', /two different signature algorithms/, () => readTpmCertificate(der));
});
