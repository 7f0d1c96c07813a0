import { timingSafeEqual } from 'node:crypto';
import { digest, type HashName, isHashName } from '../../tpm/algorithms.js';
import { extend, type PcrBanks, replayableBanks, startValue } from '../banks.js';
import type { Finding, FindingCode } from '../finding.js';
import type { UserspaceEvent, UserspaceLog } from './userspace-log.js';

export interface UserspaceReplay {
  /** Only PCRs that this log extends; in a bank of which the log leaves something out, none. */
  readonly pcrs: PcrBanks;
  readonly findings: readonly Finding[];
}

/** The PCRs that systemd extends after boot. */
const expectedPcrs = new Set([9, 11, 12, 13, 15]);
/** Measured as an HMAC under the key, so that the text can be known and the digest not checked. */
const keyed = 'volume-key';

/**
 * Goes on where the firmware's log ended. Does not establish that anything happened: compare the values with a quote. Text is
 * vouched for by a confirmed PCR only, and only where it hashes to the digest (`digest_mismatch` tells where not).
 * @param start PCR values before the first record, as `replayBootLog` gives them; what is not in them was never extended.
 */
export function replayUserspaceLog(log: UserspaceLog, start: PcrBanks = new Map()): UserspaceReplay {
  const extending = log.events.filter(({ pcr }) => pcr !== undefined);
  const named = [...new Set(extending.flatMap(({ digests }) => [...digests.keys()]))];
  const { banks, findings } = replayableBanks(named, extending);
  const pcrs = new Map(banks.map((bank) => [bank, replayBank(bank, extending, start)]));
  const all = [...findings, ...log.events.flatMap(eventFindings)];
  return { pcrs, findings: all.sort((a, b) => (a.event ?? -1) - (b.event ?? -1)) };
}

function replayBank(
  bank: HashName,
  events: readonly UserspaceEvent[],
  start: PcrBanks,
): Map<number, Uint8Array> {
  const values = new Map<number, Uint8Array>();
  for (const { pcr, digests } of events) {
    const by = digests.get(bank);
    if (pcr === undefined || !by) continue;
    const before = values.get(pcr) ?? start.get(bank)?.get(pcr) ?? startValue(bank, pcr);
    values.set(pcr, extend(bank, before, by));
  }
  return values;
}

function eventFindings(event: UserspaceEvent): Finding[] {
  const findings: Finding[] = [];
  if (event.contentType !== 'systemd') {
    const what = `has content of type ${JSON.stringify(event.contentType.slice(0, 40))}`;
    findings.push(finding('content_type_unknown', event, what));
  }
  if (event.pcr !== undefined && !expectedPcrs.has(event.pcr)) {
    findings.push(finding('pcr_unexpected', event, `extends PCR ${event.pcr}, which is not for user space`));
  }
  const banks = mismatchingBanks(event);
  if (banks.length > 0) {
    const what = `has text that does not hash to its ${banks.join(', ')} digest`;
    findings.push(finding('digest_mismatch', event, what));
  }
  return findings;
}

function mismatchingBanks({ text, eventType, digests }: UserspaceEvent): string[] {
  if (text === undefined || eventType === keyed) return [];
  const bytes = Buffer.from(text, 'utf8');
  return [...digests]
    .filter(([bank, value]) => isHashName(bank) && !timingSafeEqual(digest(bank, bytes), value))
    .map(([bank]) => bank);
}

function finding(code: FindingCode, { index }: UserspaceEvent, what: string): Finding {
  return { code, event: index, message: `record ${index} ${what}` };
}
