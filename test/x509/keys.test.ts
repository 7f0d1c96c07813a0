import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { exportPkcs8, generateKey, importPkcs8, keyTypeOf } from '../../src/x509/keys.js';
import { exportSpki, importSpki, keyIdentifier, readSpki } from '../../src/x509/spki.js';
import { ecKey } from '../support/der-factory.js';
import { throwsCode } from '../support/rejects.js';

test('keys keep their type through PKCS#8', async () => {
  for (const type of ['ec-p256', 'ec-p384', 'rsa-2048'] as const) {
    assert.equal(keyTypeOf(importPkcs8(exportPkcs8(await generateKey(type)))), type);
  }
});

test('what is no supported private key is refused, and is not quoted', () => {
  const message = /^the private key is not PKCS#8 in DER$/;
  throwsCode('key_unsupported', message, () => importPkcs8(Buffer.from('secret')));
  throwsCode('key_unsupported', message, () => importPkcs8(ecKey().export({ format: 'der', type: 'sec1' })));
  const none = /none of ec-p256, ec-p384, rsa-2048 and rsa-4096/;
  throwsCode('key_unsupported', none, () => importPkcs8(exportPkcs8(ecKey('P-521'))));
  const { privateKey } = generateKeyPairSync('ed25519');
  throwsCode('key_unsupported', none, () => importPkcs8(exportPkcs8(privateKey)));
});

test('public keys are read without OpenSSL as OpenSSL reads them', () => {
  for (const [key, kind, bits] of [
    [ecKey(), 'ec-p256', 256],
    [ecKey('P-384'), 'ec-p384', 384],
    [generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey, 'rsa', 2048],
    [generateKeyPairSync('rsa', { modulusLength: 3072 }).privateKey, 'rsa', 3072],
  ] as const) {
    const info = readSpki(exportSpki(key));
    assert.deepEqual([info.kind, info.bits], [kind, bits]);
    assert.equal(keyIdentifier(info.keyBits).length, 20);
  }
});

test('public keys of other kinds and sizes are refused', () => {
  const ed = generateKeyPairSync('ed25519').publicKey;
  throwsCode('key_unsupported', /neither RSA nor an elliptic-curve key/, () => readSpki(exportSpki(ed)));
  throwsCode('key_unsupported', /another curve/, () => readSpki(exportSpki(ecKey('P-521'))));
  const { publicKey: small } = generateKeyPairSync('rsa', { modulusLength: 1024 });
  throwsCode('key_unsupported', /RSA of 1024 bits/, () => readSpki(exportSpki(small)));
  const { publicKey: odd } = generateKeyPairSync('rsa', { modulusLength: 2047 });
  throwsCode('key_unsupported', /RSA of 2047 bits/, () => readSpki(exportSpki(odd)));
});

test('a compressed point, a cut key and a point off the curve are refused', () => {
  const spki = exportSpki(ecKey());
  const compressed = Buffer.concat([
    Buffer.from('3039301306072a8648ce3d020106082a8648ce3d030107032200', 'hex'),
    Buffer.from([2]),
    spki.subarray(27, 59),
  ]);
  throwsCode('key_unsupported', /not an uncompressed point/, () => readSpki(compressed));
  throwsCode('der_invalid', /longer than what is left/, () => readSpki(spki.subarray(0, 90)));
  throwsCode('der_invalid', /something after the end of the public key/, () =>
    readSpki(Buffer.concat([spki, spki])),
  );
  const off = Buffer.from(spki);
  off[90] = (off[90] ?? 0) ^ 1;
  assert.equal(readSpki(off).kind, 'ec-p256');
  throwsCode('key_unsupported', /was not accepted by OpenSSL/, () => importSpki(off));
});
