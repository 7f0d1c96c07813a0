import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newNonce } from '../../src/attest/nonces.js';
import { NONCE_SIZE } from '../../src/attest/transcript.js';

test('no two of a thousand nonces are alike, and none shares its bytes with another', () => {
  const nonces = Array.from({ length: 1000 }, newNonce);
  assert.equal(new Set(nonces.map((nonce) => Buffer.from(nonce).toString('hex'))).size, 1000);
  assert.equal(new Set(nonces.map(({ buffer }) => buffer)).size, 1000);
  for (const nonce of nonces) assert.equal(nonce.length, NONCE_SIZE);
});
