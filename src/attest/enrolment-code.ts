import { createHash } from 'node:crypto';
import { label } from './labels.js';

/** Crockford's base 32: no I, L, O or U. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const LETTERS = 8;

/**
 * The code by which an operator recognises a host in the queue: 40 bits as `4T7K-9QXA`, shown by the agent and by the server.
 * Made with a nonce that the server draws after Hello, so nobody can search for a key pair that gets another host's code.
 * Does NOT identify the key: `host approve` shows the full hash too.
 * @param ekHash hex, of the key that would name the node
 */
export function enrolmentCode(ekHash: string, serverNonce: Uint8Array): string {
  const hash = createHash('sha256')
    .update(label.enrolmentCode)
    .update(Buffer.from(ekHash, 'hex'))
    .update(serverNonce);
  const bits = hash.digest().readUIntBE(0, 5);
  const letters = Array.from(
    { length: LETTERS },
    (_, at) => ALPHABET[Math.floor(bits / 32 ** (LETTERS - 1 - at)) % 32],
  );
  return `${letters.slice(0, 4).join('')}-${letters.slice(4).join('')}`;
}

/** What an operator typed, in the form in which codes are written: any case, with or without the hyphen, O for 0 and I or L for 1. */
export function normaliseEnrolmentCode(typed: string): string {
  const letters = typed.toUpperCase().replace(/[\s-]/g, '').replaceAll('O', '0').replace(/[IL]/g, '1');
  return `${letters.slice(0, 4)}-${letters.slice(4)}`;
}
