import type { HashName } from '../../tpm/algorithms.js';
import {
  isUnknown,
  type ReplayedBank,
  type ReplayedBanks,
  replayBank,
  replayBanks,
  startValue,
} from '../banks.js';
import type { Finding } from '../finding.js';
import { bootFindings } from './boot-findings.js';
import type { BootEvent, BootLog } from './boot-log.js';
import { eventType } from './event-types.js';
import { startupOf } from './startup-locality.js';

/** Only PCRs that the log extends. */
export interface BootReplay extends ReplayedBanks {
  readonly startupLocality: 0 | 3 | 4;
  /** In the order of the log; those about the log as a whole first. */
  readonly findings: readonly Finding[];
}

/**
 * Computes what every PCR would hold if the log were true, bank by bank. Does not establish that it is: compare the values
 * with a quote. Even then types and data are vouched for only where they hash to the digest (`digest_mismatch` tells where not).
 */
export function replayBootLog(log: BootLog): BootReplay {
  const extending = extendingEvents(log);
  const named = log.algorithms.map(({ bank }) => bank);
  const { locality, findings: startup } = startupOf(log.events);
  const { findings, ...banks } = replayBanks(named, extending, (bank, pcr) =>
    firstValue(bank, pcr, locality),
  );
  const all = [...findings, ...startup, ...bootFindings(extending)];
  return {
    ...banks,
    startupLocality: locality,
    findings: all.sort((a, b) => (a.event ?? -1) - (b.event ?? -1)),
  };
}

/** One bank of it, for a quote of that bank; undefined when the log has nothing for the bank. */
export function replayBootBank(log: BootLog, bank: HashName): ReplayedBank | undefined {
  if (!log.algorithms.some((algorithm) => algorithm.bank === bank)) return undefined;
  const { locality } = startupOf(log.events);
  const replayed = replayBank(bank, extendingEvents(log), (pcr) => firstValue(bank, pcr, locality));
  return isUnknown(replayed) ? undefined : replayed;
}

function extendingEvents({ events }: BootLog): BootEvent[] {
  return events.filter(({ type }) => type !== eventType.noAction);
}

function firstValue(bank: HashName, pcr: number, locality: number): Uint8Array {
  if (pcr !== 0) return startValue(bank, pcr);
  const value = startValue(bank, pcr).slice();
  value[value.length - 1] = locality;
  return value;
}
