import { TouchmarkError } from '../errors.js';
import { alg, type HashName, hashById, hashByName, hex16 } from './algorithms.js';
import type { SigningScheme } from './public.js';
import { type Reader, readerOf } from './reader.js';
import { join, sized, u16 } from './writer.js';

/** A TPMT_SIGNATURE (TPM 2.0 Part 2, 11.3.4) as the chip wrote it. */
export type TpmSignature =
  | { algorithm: 'ecdsa'; hash: HashName; r: Uint8Array; s: Uint8Array }
  | { algorithm: 'rsassa' | 'rsapss'; hash: HashName; value: Uint8Array };

const MAX_RSA_SIGNATURE = 512;
const MAX_ECC_INTEGER = 66;

/** Reads exactly one TPMT_SIGNATURE: nothing may follow. Does NOT verify it. */
export function parseSignature(bytes: Uint8Array): TpmSignature {
  const reader = readerOf(bytes, 'TPMT_SIGNATURE');
  const signature = readSignature(reader);
  reader.end();
  return signature;
}

function readSignature(reader: Reader): TpmSignature {
  const id = reader.u16();
  const algorithm = algorithmOf(id);
  const hash = hashById(reader.u16()).name;
  if (algorithm !== 'ecdsa') return { algorithm, hash, value: reader.sized(MAX_RSA_SIGNATURE) };
  return { algorithm, hash, r: reader.sized(MAX_ECC_INTEGER), s: reader.sized(MAX_ECC_INTEGER) };
}

function algorithmOf(id: number): SigningScheme['algorithm'] {
  if (id === alg.ecdsa) return 'ecdsa';
  if (id === alg.rsassa) return 'rsassa';
  if (id === alg.rsapss) return 'rsapss';
  throw new TouchmarkError('tpm_algorithm_unsupported', `signature algorithm ${hex16(id)} is not supported`);
}

export function serialiseSignature(signature: TpmSignature): Uint8Array {
  const head = join(u16(alg[signature.algorithm]), u16(hashByName(signature.hash).id));
  return signature.algorithm === 'ecdsa'
    ? join(head, sized(signature.r), sized(signature.s))
    : join(head, sized(signature.value));
}

/** r || s, each as long as the curve's coordinate: node:crypto's `ieee-p1363`. */
export function ieeeP1363(signature: { r: Uint8Array; s: Uint8Array }, size: number): Uint8Array {
  if (signature.r.length > size || signature.s.length > size) {
    const message = `an ECDSA signature of ${signature.r.length} and ${signature.s.length} bytes is too long for its curve`;
    throw new TouchmarkError('tpm_structure_too_large', message);
  }
  const raw = new Uint8Array(2 * size);
  raw.set(signature.r, size - signature.r.length);
  raw.set(signature.s, 2 * size - signature.s.length);
  return raw;
}
