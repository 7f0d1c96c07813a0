import type { HashName } from '../../tpm/algorithms.js';
import { extend, type PcrBanks, replayableBanks, startValue } from '../banks.js';
import type { Finding } from '../finding.js';
import { bootFindings } from './boot-findings.js';
import type { BootEvent, BootLog } from './boot-log.js';
import { eventType } from './event-types.js';
import { startupOf } from './startup-locality.js';

export interface BootReplay {
  /** Only PCRs that the log extends. */
  readonly pcrs: PcrBanks;
  readonly startupLocality: 0 | 3 | 4;
  /** In the order of the log; those about the log as a whole first. */
  readonly findings: readonly Finding[];
}

/**
 * Computes what every PCR would hold if the log were true, bank by bank. Does not establish that it is: compare the values
 * with a quote. Even then types and data are vouched for only where they hash to the digest (`digest_mismatch` tells where not).
 */
export function replayBootLog(log: BootLog): BootReplay {
  const extending = log.events.filter(({ type }) => type !== eventType.noAction);
  const named = log.algorithms.map(({ bank }) => bank);
  const { banks, findings } = replayableBanks(named, extending);
  const startup = startupOf(log.events);
  const pcrs = new Map(banks.map((bank) => [bank, replayBank(bank, extending, startup.locality)]));
  const all = [...findings, ...startup.findings, ...bootFindings(extending)];
  return {
    pcrs,
    startupLocality: startup.locality,
    findings: all.sort((a, b) => (a.event ?? -1) - (b.event ?? -1)),
  };
}

function replayBank(
  bank: HashName,
  extending: readonly BootEvent[],
  locality: number,
): Map<number, Uint8Array> {
  const values = new Map<number, Uint8Array>();
  for (const { pcr, digests } of extending) {
    const digest = digests.get(bank);
    if (digest) values.set(pcr, extend(bank, values.get(pcr) ?? firstValue(bank, pcr, locality), digest));
  }
  return values;
}

function firstValue(bank: HashName, pcr: number, locality: number): Uint8Array {
  const value = startValue(bank, pcr);
  if (pcr === 0) value[value.length - 1] = locality;
  return value;
}
