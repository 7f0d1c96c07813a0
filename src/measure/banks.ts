import { digest, type HashName, hashByName, isHashName } from '../tpm/algorithms.js';
import type { Finding } from './finding.js';

/** PCR values by bank and index; a PCR that is not there was not extended. */
export type PcrBanks = ReadonlyMap<HashName, ReadonlyMap<number, Uint8Array>>;

interface WithDigests {
  readonly index: number;
  readonly digests: ReadonlyMap<string, Uint8Array>;
}

/** PCR 17 to 22 hold ones until a dynamic launch, all others zeros. */
export function startValue(bank: HashName, pcr: number): Uint8Array {
  return new Uint8Array(hashByName(bank).size).fill(pcr >= 17 && pcr <= 22 ? 0xff : 0);
}

/** TPM2_PCR_Extend. */
export function extend(bank: HashName, value: Uint8Array, by: Uint8Array): Uint8Array {
  return digest(bank, value, by);
}

/**
 * The banks that can be replayed. A bank that some extending event has no digest for has no known value after it, so it is
 * left out whole rather than guessed.
 */
export function replayableBanks(
  named: readonly string[],
  extending: readonly WithDigests[],
): { banks: HashName[]; findings: Finding[] } {
  const banks: HashName[] = [];
  const findings: Finding[] = [];
  for (const bank of named) {
    const gap = extending.find(({ digests }) => !digests.has(bank));
    if (!isHashName(bank)) {
      const message = `bank ${JSON.stringify(bank.slice(0, 40))} cannot be computed here, so it is not replayed`;
      findings.push({ code: 'bank_unsupported', event: null, message });
    } else if (gap) {
      const message = `event ${gap.index} has no ${bank} digest, so that bank is not replayed`;
      findings.push({ code: 'bank_incomplete', event: gap.index, message });
    } else {
      banks.push(bank);
    }
  }
  return { banks, findings };
}

/** `{"sha256": {"0": "hex"}}`, PCRs in order. */
export function pcrsAsJson(pcrs: PcrBanks): Record<string, Record<string, string>> {
  const ofBank = (values: ReadonlyMap<number, Uint8Array>) =>
    Object.fromEntries(
      [...values]
        .sort(([a], [b]) => a - b)
        .map(([pcr, value]) => [String(pcr), Buffer.from(value).toString('hex')]),
    );
  return Object.fromEntries([...pcrs].map(([bank, values]) => [bank, ofBank(values)]));
}
