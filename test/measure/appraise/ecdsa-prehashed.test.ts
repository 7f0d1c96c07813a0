import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { test } from 'node:test';
import { verifyEcdsaDigest } from '../../../src/measure/appraise/ecdsa-prehashed.js';

for (const [namedCurve, hash] of [
  ['P-256', 'sha256'],
  ['P-384', 'sha384'],
  ['P-256', 'sha512'],
  ['P-384', 'sha256'],
] as const)
  test(`a signature by ${namedCurve} is good for the ${hash} digest that it is over, and for no other`, () => {
    for (let n = 0; n < 8; n += 1) {
      const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve });
      const other = generateKeyPairSync('ec', { namedCurve }).publicKey;
      const data = Buffer.from(`file ${n}`);
      const digest = createHash(hash).update(data).digest();
      const signature = sign(hash, data, privateKey);
      assert.equal(verifyEcdsaDigest(publicKey, digest, signature), true);
      assert.equal(verifyEcdsaDigest(other, digest, signature), false);
      const changed = Buffer.from(digest);
      changed[n] = (changed[n] ?? 0) ^ 1;
      assert.equal(verifyEcdsaDigest(publicKey, changed, signature), false);
    }
  });

test('r and s that are nothing, or no smaller than the order of the group, are refused', () => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const digest = Buffer.alloc(32, 1);
  const n = Buffer.from('00ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex');
  const der = (r: Buffer, s: Buffer) => {
    const body = Buffer.concat([Buffer.of(2, r.length), r, Buffer.of(2, s.length), s]);
    return Buffer.concat([Buffer.of(0x30, body.length), body]);
  };
  const [zero, one] = [Buffer.of(0), Buffer.of(1)];
  for (const [r, s] of [
    [zero, one],
    [one, zero],
    [n, one],
    [one, n],
  ] as const)
    assert.equal(verifyEcdsaDigest(publicKey, digest, der(r, s)), false);
  assert.equal(verifyEcdsaDigest(publicKey, Buffer.alloc(32), der(one, one)), false, 'a digest of zeros');
});

test('a key of a curve that is not known signs nothing', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-521' });
  const digest = createHash('sha512').update('a').digest();
  assert.equal(verifyEcdsaDigest(publicKey, digest, sign('sha512', Buffer.from('a'), privateKey)), false);
});
