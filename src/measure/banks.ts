import { digest, type HashName, hashByName, isHashName } from '../tpm/algorithms.js';
import type { Finding } from './finding.js';

/** PCR values by bank and index; a PCR that is not there was not extended. */
export type PcrBanks = ReadonlyMap<HashName, ReadonlyMap<number, Uint8Array>>;

/** What nothing is known of: by bank the PCRs that some event leaves out. */
export type PcrGaps = ReadonlyMap<HashName, ReadonlyMap<number, Finding>>;

/** What a log makes of all its banks, PCR by PCR. */
export interface ReplayedBanks {
  readonly pcrs: PcrBanks;
  readonly gaps: PcrGaps;
}

/** The same of one bank. */
export interface ReplayedBank {
  readonly values: ReadonlyMap<number, Uint8Array>;
  /** Why a PCR has no value, although the log extends it. */
  readonly gaps: ReadonlyMap<number, Finding>;
}

interface Extending {
  readonly index: number;
  /** Undefined: it extends none. */
  readonly pcr: number | undefined;
  readonly digests: ReadonlyMap<string, Uint8Array>;
}

const startValues = new Map<string, Uint8Array>();

/** PCR 17 to 22 hold ones until a dynamic launch, all others zeros. The same bytes whenever asked: copy them to change them. */
export function startValue(bank: HashName, pcr: number): Uint8Array {
  const key = `${bank}:${pcr}`;
  const known = startValues.get(key);
  if (known) return known;
  const value = new Uint8Array(hashByName(bank).size).fill(pcr >= 17 && pcr <= 22 ? 0xff : 0);
  startValues.set(key, value);
  return value;
}

/** TPM2_PCR_Extend. */
export function extend(bank: HashName, value: Uint8Array, by: Uint8Array): Uint8Array {
  return digest(bank, value, by);
}

/**
 * Replays one bank. A PCR that some event has no digest of the bank for has no known value from there on, so it is left out
 * rather than guessed; the others go on.
 * @param startOf what a PCR held before; undefined: that is not known either
 */
export function replayBank(
  bank: HashName,
  events: readonly Extending[],
  startOf: (pcr: number) => Uint8Array | undefined,
): ReplayedBank {
  const values = new Map<number, Uint8Array>();
  const gaps = new Map<number, Finding>();
  for (const { index, pcr, digests } of events) {
    if (pcr === undefined || gaps.has(pcr)) continue;
    const by = digests.get(bank);
    const value = values.get(pcr) ?? startOf(pcr);
    if (by && value) values.set(pcr, extend(bank, value, by));
    else {
      values.delete(pcr);
      const why = by ? 'goes on from a value that is not known' : `has no ${bank} digest`;
      const message = `event ${index} ${why}, so PCR ${pcr} of ${bank} is not replayed`;
      gaps.set(pcr, { code: 'bank_incomplete', event: index, message });
    }
  }
  return { values, gaps };
}

/** Whether something extends the bank and nothing is known of it. */
export function isUnknown({ values, gaps }: ReplayedBank): boolean {
  return values.size === 0 && gaps.size > 0;
}

/** Replays every bank that can be computed. One of which nothing is known is left out. */
export function replayBanks(
  named: readonly string[],
  events: readonly Extending[],
  startOf: (bank: HashName, pcr: number) => Uint8Array | undefined,
): ReplayedBanks & { readonly findings: Finding[] } {
  const pcrs = new Map<HashName, ReadonlyMap<number, Uint8Array>>();
  const gaps = new Map<HashName, ReadonlyMap<number, Finding>>();
  const findings: Finding[] = [];
  for (const bank of named) {
    if (!isHashName(bank)) {
      const message = `bank ${JSON.stringify(bank.slice(0, 40))} cannot be computed here, so it is not replayed`;
      findings.push({ code: 'bank_unsupported', event: null, message });
      continue;
    }
    const replayed = replayBank(bank, events, (pcr) => startOf(bank, pcr));
    if (!isUnknown(replayed)) pcrs.set(bank, replayed.values);
    if (replayed.gaps.size > 0) gaps.set(bank, replayed.gaps);
    findings.push(...replayed.gaps.values());
  }
  return { pcrs, gaps, findings };
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
