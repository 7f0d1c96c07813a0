import { createHmac } from 'node:crypto';
import { digest, type HashName, hashByName } from './algorithms.js';
import { u32 } from './writer.js';

/** What a derivation is for: the label's terminating NUL is added here, once. */
interface Derivation {
  hash: HashName;
  label: string;
  /** Bits wanted; a multiple of 8 in every use here. */
  bits: number;
}

/** KDFa (TPM 2.0 Part 1, 11.4.10.2): SP 800-108 in counter mode with HMAC. */
export function kdfa(
  { hash, label, bits }: Derivation,
  key: Uint8Array,
  contextU: Uint8Array = new Uint8Array(),
  contextV: Uint8Array = new Uint8Array(),
): Uint8Array {
  return blocks(hash, bits, (counter) =>
    createHmac(hash, key)
      .update(u32(counter))
      .update(`${label}\0`)
      .update(contextU)
      .update(contextV)
      .update(u32(bits))
      .digest(),
  );
}

/** KDFe (TPM 2.0 Part 1, 11.4.10.3): the one-step derivation of SP 800-56A. `z`, `partyU` and `partyV` are x-coordinates, padded. */
export function kdfe(
  { hash, label, bits }: Derivation,
  z: Uint8Array,
  partyU: Uint8Array,
  partyV: Uint8Array,
): Uint8Array {
  const info = Buffer.from(`${label}\0`);
  return blocks(hash, bits, (counter) => digest(hash, u32(counter), z, info, partyU, partyV));
}

function blocks(hash: HashName, bits: number, block: (counter: number) => Uint8Array): Uint8Array {
  const size = Math.ceil(bits / 8);
  const count = Math.ceil(size / hashByName(hash).size);
  const all = Array.from({ length: count }, (_, at) => block(at + 1));
  return new Uint8Array(Buffer.concat(all).subarray(0, size));
}
