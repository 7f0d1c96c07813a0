import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { attestationKeyTemplate } from '../../src/tpm/attestation-key.js';
import { hierarchy, nameOf, primaryQualifiedName } from '../../src/tpm/name.js';
import { serialisePublic } from '../../src/tpm/public.js';
import {
  describeKey,
  ekHash,
  keyObjectOf,
  type PlainKey,
  plainKeyOf,
  spkiHash,
  spkiOf,
} from '../../src/tpm/spki.js';
import { plainKeyFrom } from '../fakes/ek-authority.js';
import { createSoftwareTpm } from '../fakes/software-tpm.js';
import { throwsCode } from '../support/rejects.js';

const publicKeys = [
  ...(['P-256', 'P-384', 'P-521'] as const).map(
    (namedCurve) => generateKeyPairSync('ec', { namedCurve }).publicKey,
  ),
  ...[2048, 3072].map((modulusLength) => generateKeyPairSync('rsa', { modulusLength }).publicKey),
];

test('the SubjectPublicKeyInfo of every kind of key is what OpenSSL writes, and the key reads back', () => {
  const names = publicKeys.map((publicKey) => {
    const plain = plainKeyFrom(publicKey);
    const der = publicKey.export({ format: 'der', type: 'spki' });
    assert.deepEqual(Buffer.from(spkiOf(plain)), der);
    assert.equal(spkiHash(plain), createHash('sha256').update(der).digest('hex'));
    assert.ok(keyObjectOf(plain).equals(publicKey));
    return describeKey(plain);
  });
  assert.deepEqual(names, ['P-256', 'P-384', 'P-521', 'RSA-2048', 'RSA-3072']);
});

test('one key has one encoding and one hash, with leading zeros or without', () => {
  const [p256, , , rsa] = publicKeys.map(plainKeyFrom);
  assert.ok(p256?.type === 'ecc' && rsa?.type === 'rsa');
  const padded = (bytes: Uint8Array): Uint8Array => Uint8Array.from([0, ...bytes]);
  assert.equal(spkiHash({ ...rsa, modulus: padded(rsa.modulus) }), spkiHash(rsa));
  const short: PlainKey = { type: 'ecc', curve: 'P-256', x: Uint8Array.of(7), y: Uint8Array.of(9) };
  const long: PlainKey = {
    ...short,
    x: Uint8Array.from([...new Uint8Array(31), 7]),
    y: Uint8Array.from([0, 9]),
  };
  assert.equal(spkiHash(short), spkiHash(long));
  throwsCode('tpm_key_invalid', /33 bytes is too long/, () => spkiHash({ ...p256, x: padded(p256.x) }));
});

test('the exponent 0 of a public area stands for 65537', () => {
  const plain = plainKeyFrom(publicKeys[3] ?? assert.fail());
  assert.ok(plain.type === 'rsa');
  const { nameAlg, attributes, policy } = attestationKeyTemplate(new Uint8Array(32));
  const base = {
    nameAlg,
    attributes,
    policy,
    symmetric: null,
    scheme: null,
    type: 'rsa',
    bits: 2048,
  } as const;
  const zero = { ...base, exponent: 0, modulus: plain.modulus };
  assert.deepEqual(plainKeyOf(zero), plain);
  assert.equal(ekHash(zero), ekHash({ ...zero, exponent: 65537 }));
  assert.notDeepEqual(nameOf(zero), nameOf({ ...zero, exponent: 65537 }));
});

test('a Name is the algorithm and the hash of the public area; a qualified name adds the hierarchy', () => {
  const key = createSoftwareTpm().ak(new Uint8Array(32)).public;
  const sha256 = (...parts: Uint8Array[]): Buffer =>
    createHash('sha256').update(Buffer.concat(parts)).digest();
  const name = Buffer.concat([Buffer.of(0, 0x0b), sha256(serialisePublic(key))]);
  assert.deepEqual(Buffer.from(nameOf(key)), name);
  const qualified = (handle: string): Buffer =>
    Buffer.concat([Buffer.of(0, 0x0b), sha256(Buffer.from(handle, 'hex'), name)]);
  assert.deepEqual(Buffer.from(primaryQualifiedName(key)), qualified('4000000b'));
  assert.deepEqual(Buffer.from(primaryQualifiedName(key, hierarchy.owner)), qualified('40000001'));
});

test('two keys that differ in one attribute have two Names', () => {
  const key = createSoftwareTpm().ak(new Uint8Array(32)).public;
  for (let bit = 0; bit < 20; bit++) {
    assert.notDeepEqual(
      nameOf({ ...key, attributes: key.attributes ^ (1 << bit) }),
      nameOf(key),
      `bit ${bit}`,
    );
  }
});
