import { createHash } from 'node:crypto';
import { TouchmarkError } from '../errors.js';
import { digest } from '../tpm/algorithms.js';
import { label } from './labels.js';

/** Everything that an attestation's answers are bound to: bytes exactly as they were on the wire. */
export interface TranscriptParts {
  trustDomain: string;
  /** DER of the server's leaf certificate on THIS connection: a conversation relayed to another server has another. */
  serverLeaf: Uint8Array;
  /** The attestation payload: the encoded Hello. */
  payload: Uint8Array;
  /** The PKCS#10 request in DER: the only key that will be signed. */
  csr: Uint8Array;
  /** The encoded Challenge. */
  challenge: Uint8Array;
}

export const NONCE_SIZE = 32;
const MAX_GENERATION = 0xffff_ffff;

/** SHA-256 over label, trust domain, server leaf, payload, CSR and challenge, each behind its length in 32 bits. */
export function transcript(parts: TranscriptParts): Uint8Array {
  const hash = createHash('sha256');
  const { trustDomain, serverLeaf, payload, csr, challenge } = parts;
  const ordered = [text(label.transcript), text(trustDomain), serverLeaf, payload, csr, challenge];
  for (const part of ordered) hash.update(u32(part.length)).update(part);
  return hash.digest();
}

/** extraData of an attestation's quote: SHA-256(label || nonce || transcript). */
export function quoteExtraData(nonce: Uint8Array, transcriptHash: Uint8Array): Uint8Array {
  return boundTo(label.attestationQuote, nonce, transcriptHash);
}

/** extraData of a session's quote, over the tick exactly as it was on the wire. */
export function tickExtraData(nonce: Uint8Array, tick: Uint8Array): Uint8Array {
  return tickExtraDataOfHash(nonce, digest('sha256', tick));
}

/** As `tickExtraData`, from the SHA-256 of the tick. */
export function tickExtraDataOfHash(nonce: Uint8Array, tickHash: Uint8Array): Uint8Array {
  return boundTo(label.tickQuote, nonce, tickHash);
}

/**
 * `unique` of the attestation key: one key per chip, trust domain and generation. A new generation makes a new key.
 * @param generation counts from 0
 */
export function attestationKeyUnique(trustDomain: string, generation: number): Uint8Array {
  if (!Number.isInteger(generation) || generation < 0 || generation > MAX_GENERATION) {
    const message = `the generation ${generation} of the attestation key is not a number of 32 bits`;
    throw new TouchmarkError('attest_message_invalid', message);
  }
  return createHash('sha256')
    .update(label.attestationKey)
    .update(trustDomain)
    .update(u32(generation))
    .digest();
}

function boundTo(labelText: string, nonce: Uint8Array, hash: Uint8Array): Uint8Array {
  if (nonce.length !== NONCE_SIZE) {
    const message = `the nonce has ${nonce.length} bytes instead of ${NONCE_SIZE}`;
    throw new TouchmarkError('attest_message_invalid', message);
  }
  return digest('sha256', text(labelText), nonce, hash);
}

function text(value: string): Uint8Array {
  return Buffer.from(value, 'utf8');
}

function u32(value: number): Uint8Array {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value);
  return out;
}
