import { randomFillSync } from 'node:crypto';
import { NONCE_SIZE } from './transcript.js';

/** Asking for random bytes takes as long as a few hashes, for 32 of them as for 2 KiB. */
const drawn = new Uint8Array(64 * NONCE_SIZE);
let used = drawn.length;

/** 32 random bytes that nobody was given before, for one question. */
export function newNonce(): Uint8Array {
  if (used === drawn.length) {
    randomFillSync(drawn);
    used = 0;
  }
  const nonce = drawn.slice(used, used + NONCE_SIZE);
  used += NONCE_SIZE;
  return nonce;
}
