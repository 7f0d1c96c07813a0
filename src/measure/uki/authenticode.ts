import { createHash } from 'node:crypto';
import type { HashName } from '../../tpm/algorithms.js';
import type { PeImage } from './pe-image.js';

/**
 * The Authenticode hash of an EFI image: what the firmware measures into PCR 4 when it starts it, and what its signatures
 * and the databases of Secure Boot are about. The same before and after signing, if the image's size is a multiple of 8.
 */
export function authenticodeHash({ bytes, hashed }: PeImage, bank: HashName): Uint8Array {
  const hash = createHash(bank);
  for (const { start, end } of hashed) hash.update(bytes.subarray(start, end));
  return hash.digest();
}
