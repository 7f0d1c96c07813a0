import { timingSafeEqual } from 'node:crypto';
import { digest, type HashName, hashByName } from '../../tpm/algorithms.js';
import type { PcrValues } from '../../tpm/pcr.js';
import type { ImaFileDigest } from './ima-template.js';

/** Which PCRs a boot_aggregate covers: 0-9, or 0-7 for SHA-1 and for kernels before 5.8. */
export type AggregateSpan = '0-9' | '0-7';

/** What the kernel measures first of all: one hash over PCR values of one bank. Undefined if one is missing. */
export function bootAggregate(
  bank: HashName,
  pcrs: Pick<PcrValues, 'get'>,
  span: AggregateSpan,
): Uint8Array | undefined {
  const { size } = hashByName(bank);
  const values: Uint8Array[] = [];
  for (let pcr = 0; pcr < (span === '0-9' ? 10 : 8); pcr++) {
    const value = pcrs.get(pcr);
    if (value?.length !== size) return undefined;
    values.push(value);
  }
  return digest(bank, ...values);
}

/**
 * Which span of these PCR values gives the boot_aggregate of a list; undefined if neither does. The bank must be the
 * one that the digest names, and the values must come from a quote or a replay that a quote confirmed.
 */
export function matchBootAggregate(
  said: ImaFileDigest,
  bank: HashName,
  pcrs: Pick<PcrValues, 'get'>,
): AggregateSpan | undefined {
  if (said.algorithm !== bank || said.of !== 'file') return undefined;
  return (['0-9', '0-7'] as const).find((span) => {
    const own = bootAggregate(bank, pcrs, span);
    return own?.length === said.digest.length && timingSafeEqual(own, said.digest);
  });
}
