import { createHmac, timingSafeEqual } from 'node:crypto';
import { TouchmarkError } from '../errors.js';

/** Bytes of each credential that the server draws. */
export const CREDENTIAL_SIZE = 32;

/**
 * The agent's answer to credential activation: HMAC-SHA-256(all credentials joined in the order of the challenge, transcript).
 * The credentials themselves never travel, so an answer is worth nothing on another connection.
 */
export function activationProof(credentials: readonly Uint8Array[], transcriptHash: Uint8Array): Uint8Array {
  if (credentials.length === 0 || credentials.some((one) => one.length !== CREDENTIAL_SIZE)) {
    const message = `an activation is proven with at least one credential of ${CREDENTIAL_SIZE} bytes each`;
    throw new TouchmarkError('attest_message_invalid', message);
  }
  return createHmac('sha256', Buffer.concat(credentials)).update(transcriptHash).digest();
}

/**
 * Constant-time check of an agent's answer: every endorsement key that was challenged answered for the same attestation key.
 * @throws TouchmarkError `activation_proof`
 */
export function checkActivationProof(
  proof: Uint8Array,
  credentials: readonly Uint8Array[],
  transcriptHash: Uint8Array,
): void {
  const expected = activationProof(credentials, transcriptHash);
  if (proof.length === expected.length && timingSafeEqual(proof, expected)) return;
  const message =
    'the activation proof does not match: another chip, another attestation key or another connection';
  throw new TouchmarkError('activation_proof', message);
}
