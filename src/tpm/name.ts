import { digest, hashByName } from './algorithms.js';
import { serialisePublic, type TpmPublic } from './public.js';
import { join, u16, u32 } from './writer.js';

/** Permanent handles of the hierarchies, whose Names are the handles themselves. */
export const hierarchy = { owner: 0x40000001, endorsement: 0x4000000b } as const;

/** Name of a key: nameAlg || H(TPMT_PUBLIC) (TPM 2.0 Part 1, 16). Two keys with one Name are one key with one set of attributes. */
export function nameOf(key: TpmPublic): Uint8Array {
  return join(u16(hashByName(key.nameAlg).id), digest(key.nameAlg, serialisePublic(key)));
}

/** Qualified name of a primary key: nameAlg || H(hierarchy handle || Name). Only the chip can claim it in what it signs. */
export function primaryQualifiedName(key: TpmPublic, parent: number = hierarchy.endorsement): Uint8Array {
  return join(u16(hashByName(key.nameAlg).id), digest(key.nameAlg, u32(parent), nameOf(key)));
}
