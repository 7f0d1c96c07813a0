import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { activationProof, checkActivationProof } from '../../src/attest/activation.js';
import { enrolmentCode, normaliseEnrolmentCode } from '../../src/attest/enrolment-code.js';
import { label } from '../../src/attest/labels.js';
import {
  attestationKeyUnique,
  quoteExtraData,
  type TranscriptParts,
  tickExtraData,
  transcript,
} from '../../src/attest/transcript.js';
import { throwsCode } from '../support/rejects.js';

const parts: TranscriptParts = {
  trustDomain: 'example.org',
  serverLeaf: Buffer.from('leaf'),
  payload: Buffer.from('hello'),
  csr: Buffer.from('csr'),
  challenge: Buffer.from('challenge'),
};
const sha256 = (...all: readonly Uint8Array[]): Buffer =>
  createHash('sha256').update(Buffer.concat(all)).digest();
const prefixed = (text: string): Buffer =>
  Buffer.concat([Buffer.from([0, 0, 0, text.length]), Buffer.from(text)]);

test('labels are all different', () => {
  assert.equal(new Set(Object.values(label)).size, Object.keys(label).length);
});

test('the transcript is SHA-256 over length-prefixed parts in their order', () => {
  const ordered = ['touchmark-tpm-v1', 'example.org', 'leaf', 'hello', 'csr', 'challenge'];
  assert.deepEqual(transcript(parts), sha256(...ordered.map(prefixed)));
});

test('no two conversations share a transcript, wherever their bytes are cut', () => {
  const bytes = fc.uint8Array({ maxLength: 6 });
  const some = fc.record({
    trustDomain: fc.constant('a'),
    serverLeaf: bytes,
    payload: bytes,
    csr: bytes,
    challenge: bytes,
  });
  fc.assert(
    fc.property(some, some, (a, b) => {
      const same = JSON.stringify(Object.values(a)) === JSON.stringify(Object.values(b));
      assert.equal(Buffer.from(transcript(a)).equals(transcript(b)), same);
    }),
  );
  const shifted = { ...parts, payload: Buffer.from('helloc'), csr: Buffer.from('sr') };
  assert.notDeepEqual(transcript(shifted), transcript(parts));
});

test('extraData has 32 bytes, its own label for each use, and wants a nonce of 32 bytes', () => {
  const nonce = Buffer.alloc(32, 1);
  const hash = transcript(parts);
  assert.deepEqual(
    Buffer.from(quoteExtraData(nonce, hash)),
    sha256(Buffer.from('touchmark-attest-v1'), nonce, hash),
  );
  assert.equal(quoteExtraData(nonce, hash).length, 32);
  const tick = Buffer.from('tick');
  assert.deepEqual(
    Buffer.from(tickExtraData(nonce, tick)),
    sha256(Buffer.from('touchmark-tick-v1'), nonce, sha256(tick)),
  );
  throwsCode('attest_message_invalid', /nonce has 31 bytes instead of 32/, () =>
    quoteExtraData(nonce.subarray(1), hash),
  );
});

test('the attestation key differs by trust domain and generation, and by nothing else', () => {
  const wanted = sha256(Buffer.from('touchmark-ak-v1example.org'), Buffer.from([0, 0, 0, 0]));
  assert.deepEqual(attestationKeyUnique('example.org', 0), wanted);
  assert.notDeepEqual(attestationKeyUnique('example.org', 1), wanted);
  assert.notDeepEqual(attestationKeyUnique('example.com', 0), wanted);
  for (const generation of [-1, 1.5, 2 ** 32]) {
    throwsCode('attest_message_invalid', /generation .* 32 bits/, () =>
      attestationKeyUnique('example.org', generation),
    );
  }
});

test('the activation proof is an HMAC of the transcript under all credentials joined in order', () => {
  const [a, b] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
  const hash = transcript(parts);
  const proof = activationProof([a, b], hash);
  assert.deepEqual(
    proof,
    createHmac('sha256', Buffer.concat([a, b]))
      .update(hash)
      .digest(),
  );
  checkActivationProof(proof, [a, b], hash);
  const wrong = [
    () => checkActivationProof(proof, [b, a], hash),
    () => checkActivationProof(proof, [a], hash),
  ];
  for (const task of wrong) throwsCode('activation_proof', /does not match/, task);
  throwsCode('activation_proof', /does not match/, () =>
    checkActivationProof(proof.subarray(1), [a, b], hash),
  );
  throwsCode('attest_message_invalid', /32 bytes each/, () => activationProof([a.subarray(1)], hash));
});

test('an enrolment code is eight letters that nobody confuses, and moves with key and nonce', () => {
  const hash = '5f4f4e37a35ed4d11ae72587e5f0c87b3ce784fa372767f9f986b0b7bf29a328';
  const code = enrolmentCode(hash, Buffer.alloc(32, 1));
  assert.match(code, /^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$/);
  assert.equal(enrolmentCode(hash, Buffer.alloc(32, 1)), code);
  assert.notEqual(enrolmentCode(hash, Buffer.alloc(32, 2)), code);
  assert.notEqual(enrolmentCode(hash.replace('5', '6'), Buffer.alloc(32, 1)), code);
});

test('an enrolment code is read as people type it', () => {
  assert.equal(normaliseEnrolmentCode(' ab1o-ilxy '), 'AB10-11XY');
  assert.equal(normaliseEnrolmentCode('AB1011XY'), 'AB10-11XY');
});
