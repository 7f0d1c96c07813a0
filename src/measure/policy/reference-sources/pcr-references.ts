import type { HashName } from '../../../tpm/algorithms.js';
import type { DigestReference, ReferenceSet } from '../model.js';
import { digestText, distinctDigests } from './reference-set.js';

type DigestList = 'firmware' | 'firmwareConfig' | 'secureBoot' | 'bootChain' | 'userspace';

/** Which part of a set holds the measurements of a PCR. Where boot loader and user space both measure, both have it. */
const listsByPcr: Readonly<Record<number, readonly DigestList[]>> = {
  0: ['firmware'],
  1: ['firmwareConfig'],
  2: ['firmware'],
  3: ['firmwareConfig'],
  4: ['bootChain'],
  7: ['secureBoot'],
  8: ['bootChain'],
  9: ['bootChain', 'userspace'],
  11: ['bootChain', 'userspace'],
  12: ['bootChain', 'userspace'],
  13: ['bootChain', 'userspace'],
  14: ['bootChain'],
  15: ['userspace'],
};

/** One measurement with its digests by bank. */
export interface PcrMeasurement {
  readonly pcr: number;
  readonly label: string;
  readonly digests: ReadonlyMap<string, Uint8Array>;
}

/** Strong banks where there are any; SHA-1 only where there is nothing else. */
export function usedBanks(measured: readonly PcrMeasurement[]): HashName[] {
  const named = new Set(measured.flatMap(({ digests }) => [...digests.keys()]));
  const strong = (['sha256', 'sha384'] as const).filter((bank) => named.has(bank));
  return strong.length > 0 ? strong : named.has('sha1') ? ['sha1'] : [];
}

/** Sorts measurements into the parts of a set; `left` are the PCRs that no part is about. */
export function pcrReferences(measured: readonly PcrMeasurement[]): {
  parts: Partial<ReferenceSet>;
  left: number[];
} {
  const banks = usedBanks(measured);
  const parts: Record<DigestList, DigestReference[]> = {
    firmware: [],
    firmwareConfig: [],
    secureBoot: [],
    bootChain: [],
    userspace: [],
  };
  for (const { pcr, label, digests } of measured) {
    for (const bank of banks) {
      const value = digests.get(bank);
      if (value)
        for (const list of listsByPcr[pcr] ?? [])
          parts[list].push({ digest: digestText(bank, value), label });
    }
  }
  const rows = Object.entries(parts).map(([list, references]) => [list, distinctDigests(references)]);
  const left = measured.map(({ pcr }) => pcr).filter((pcr) => !listsByPcr[pcr]);
  return { parts: Object.fromEntries(rows), left: [...new Set(left)].sort((a, b) => a - b) };
}
