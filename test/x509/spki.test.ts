import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto';
import { test } from 'node:test';
import { exportSpki, importP256, importSpki, readSpki } from '../../src/x509/spki.js';
import { throwsCode } from '../support/rejects.js';

const p256 = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });

test('a P-256 key is the same key by every way of importing it', () => {
  for (let round = 0; round < 50; round += 1) {
    const { publicKey, privateKey } = p256();
    const der = exportSpki(publicKey);
    const plain = createPublicKey({ key: der, format: 'der', type: 'spki' });
    const data = Buffer.from(`round ${round}`);
    const signature = sign('sha256', data, privateKey);
    for (const key of [importSpki(der), importP256(der)]) {
      assert.ok(key.equals(plain));
      assert.deepEqual(exportSpki(key), der);
      assert.ok(verify('sha256', data, key, signature));
    }
  }
});

test('keys of the other kinds are imported as they are', () => {
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey;
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey;
  for (const key of [p384, rsa]) assert.ok(importSpki(exportSpki(key)).equals(key));
});

test('a key is found in the middle of a larger buffer, as requests hold it', () => {
  const { publicKey } = p256();
  const der = exportSpki(publicKey);
  const around = Buffer.concat([Buffer.alloc(7, 4), der, Buffer.alloc(5, 4)]);
  assert.ok(importSpki(new Uint8Array(around.buffer, around.byteOffset + 7, der.length)).equals(publicKey));
});

test('a point that is not on the curve, at infinity or beyond the field is no key, by either way', () => {
  const der = exportSpki(p256().publicKey);
  const changed = (change: (bytes: Buffer) => void) => {
    const bytes = Buffer.from(der);
    change(bytes);
    return bytes;
  };
  const bad = [
    changed((bytes) => bytes.writeUInt8(bytes.readUInt8(90) ^ 1, 90)),
    changed((bytes) => bytes.fill(0, 27)),
    changed((bytes) => bytes.fill(0xff, 27, 59)),
    changed((bytes) => bytes.fill(0xff, 59)),
  ];
  for (const bytes of bad) {
    // The form is right: it is the point that is refused.
    assert.equal(readSpki(bytes).kind, 'ec-p256');
    throwsCode('key_unsupported', /^the public key was not accepted by OpenSSL: /, () => importSpki(bytes));
    assert.throws(() => importP256(bytes), /Invalid JWK EC key/);
  }
});

test('a key whose first coordinates begin with zeros keeps them', () => {
  let der = exportSpki(p256().publicKey);
  while (der[27] !== 0) der = exportSpki(p256().publicKey);
  assert.deepEqual(exportSpki(importP256(der)), der);
});
