import assert from 'node:assert/strict';
import {
  createHash,
  createPrivateKey,
  createSign,
  generateKeyPairSync,
  type KeyObject,
  privateEncrypt,
  sign,
} from 'node:crypto';
import { test } from 'node:test';
import { verifyEcdsaDigest } from '../../../src/measure/appraise/ecdsa-prehashed.js';
import { fileSigners } from '../../../src/measure/appraise/ima-signers.js';
import { allRules, goodReferences, imaFiles, referenceSet } from '../../support/appraisal-factory.js';
import { buffer, file } from '../../support/appraisal-host.js';
import { codesOf, judge } from '../../support/appraisal-judge.js';

interface Pair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}
const rsa: Pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec: Pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ec384: Pair = generateKeyPairSync('ec', { namedCurve: 'P-384' });

const pem = ({ publicKey }: Pair) => publicKey.export({ type: 'spki', format: 'pem' }).toString();

/** As `evmctl` makes the identifier of a bare key: the end of SHA-1 over the key's bits. */
function keyId({ publicKey }: Pair): Buffer {
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const bits =
    publicKey.asymmetricKeyType === 'rsa'
      ? spki.subarray(24)
      : spki.subarray(spki.length - 65 - (spki.length > 100 ? 32 : 0));
  return createHash('sha1').update(bits).digest().subarray(-4);
}

function securityIma(pair: Pair, content: string, id = keyId(pair)): Buffer<ArrayBuffer> {
  const signature = createSign('sha256').update(content).sign(pair.privateKey);
  const size = Buffer.alloc(2);
  size.writeUInt16BE(signature.length);
  return Buffer.concat([Buffer.of(3, 2, 4), id, size, signature]);
}

const signed = { runtime: { ...allRules.runtime, signed: true } };
const set = referenceSet({ fileSigners: [rsa, ec, ec384].map(pem) });
const codes = (signature: Buffer<ArrayBuffer>, content = 'tool', rules: object = signed) =>
  codesOf(
    judge({ ima: [...imaFiles, file('/opt/tool', content, signature)] }, rules, goodReferences, set),
    'runtime',
  );

test('a file that a signer signed is accepted, whatever the kind of the key', () => {
  for (const pair of [rsa, ec, ec384]) assert.deepEqual(codes(securityIma(pair, 'tool')), []);
});

test('another content, another key, another identifier, damage and a rule without signatures do not', () => {
  const stranger: Pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  for (const pair of [rsa, ec, ec384]) {
    const good = securityIma(pair, 'tool');
    assert.deepEqual(codes(good, 'another'), ['file_unknown']);
    assert.deepEqual(codes(good, 'tool', {}), ['file_unknown']);
    for (const at of [1, 2, 4, 8, 20, good.length - 1]) {
      const damaged = Buffer.from(good);
      damaged[at] = (damaged[at] ?? 0) ^ 1;
      assert.deepEqual(codes(damaged), ['file_unknown'], `byte ${at}`);
    }
    assert.deepEqual(codes(Buffer.concat([good, Buffer.of(0)])), ['file_unknown']);
  }
  assert.deepEqual(codes(securityIma(stranger, 'tool')), ['file_unknown']);
  assert.deepEqual(
    codes(securityIma(stranger, 'tool', keyId(ec))),
    ['file_unknown'],
    'an identifier proves nothing',
  );
});

test('RSA: padding without the name of the hash is no signature', () => {
  const digest = createHash('sha256').update('tool').digest();
  const bare = privateEncrypt(
    createPrivateKey(rsa.privateKey.export({ type: 'pkcs8', format: 'pem' })),
    digest,
  );
  const value = Buffer.concat([Buffer.of(3, 2, 4), keyId(rsa), Buffer.of(1, 0), bare]);
  assert.deepEqual(codes(value), ['file_unknown']);
});

test('ECDSA over a digest agrees with OpenSSL, and refuses what is out of range', () => {
  for (const pair of [ec, ec384]) {
    for (let n = 0; n < 20; n++) {
      const content = Buffer.from(`content ${n}`);
      const digest = createHash('sha256').update(content).digest();
      const signature = sign('sha256', content, pair.privateKey);
      assert.equal(verifyEcdsaDigest(pair.publicKey, digest, signature), true);
      digest[n] = (digest[n] ?? 0) ^ 1;
      assert.equal(verifyEcdsaDigest(pair.publicKey, digest, signature), false);
    }
  }
  const zero = Buffer.from('3006020100020100', 'hex');
  assert.equal(verifyEcdsaDigest(ec.publicKey, Buffer.alloc(32, 1), zero), false);
  assert.equal(verifyEcdsaDigest(rsa.publicKey, Buffer.alloc(32), zero), false);
});

test('a key that was loaded into a keyring is accepted if a signer has it', () => {
  const der = ec.publicKey.export({ type: 'spki', format: 'der' });
  const result = judge({ ima: [...imaFiles, buffer('.ima', der)] }, signed, goodReferences, set);
  assert.deepEqual(codesOf(result, 'runtime'), []);
  assert.deepEqual(codesOf(judge({ ima: [...imaFiles, buffer('.ima', der)] }), 'runtime'), [
    'ima_key_unknown',
  ]);
});

test('what is no key signs nothing', () => {
  const signers = fileSigners([referenceSet({ fileSigners: ['rubbish', pem(ec).replace('A', 'B')] })]);
  assert.equal(signers.isSigner(Buffer.from('x')), false);
});
