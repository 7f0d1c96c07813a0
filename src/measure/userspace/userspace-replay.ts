import { timingSafeEqual } from 'node:crypto';
import { digest, isHashName } from '../../tpm/algorithms.js';
import { type ReplayedBanks, replayBanks, startValue } from '../banks.js';
import type { Finding, FindingCode } from '../finding.js';
import { isKeyed, type UserspaceEvent, type UserspaceLog, userspacePcrs } from './userspace-log.js';

/** Only PCRs that this log extends. */
export interface UserspaceReplay extends ReplayedBanks {
  readonly findings: readonly Finding[];
}

const fromTheStart: ReplayedBanks = { pcrs: new Map(), gaps: new Map() };

/**
 * Goes on where the firmware's log ended. Does not establish that anything happened: compare the values with a quote. Text is
 * vouched for by a confirmed PCR only, and only where it hashes to the digest (`digest_mismatch` tells where not).
 * @param start what came before the first record, as `replayBootLog` gives it; a PCR that is not in it was never extended.
 */
export function replayUserspaceLog(log: UserspaceLog, start = fromTheStart): UserspaceReplay {
  const extending = log.events.filter(({ pcr }) => pcr !== undefined);
  const named = [...new Set(extending.flatMap(({ digests }) => [...digests.keys()]))];
  const { findings, ...banks } = replayBanks(named, extending, (bank, pcr) =>
    start.gaps.get(bank)?.has(pcr) ? undefined : (start.pcrs.get(bank)?.get(pcr) ?? startValue(bank, pcr)),
  );
  const all = [...findings, ...log.events.flatMap(eventFindings)];
  return { ...banks, findings: all.sort((a, b) => (a.event ?? -1) - (b.event ?? -1)) };
}

function eventFindings(event: UserspaceEvent): Finding[] {
  const findings: Finding[] = [];
  if (event.contentType !== 'systemd') {
    const what = `has content of type ${JSON.stringify(event.contentType.slice(0, 40))}`;
    findings.push(finding('content_type_unknown', event, what));
  }
  if (event.pcr !== undefined && !userspacePcrs.has(event.pcr)) {
    findings.push(finding('pcr_unexpected', event, `extends PCR ${event.pcr}, which is not for user space`));
  }
  const banks = mismatchingBanks(event);
  if (banks.length > 0) {
    const what = `has text that does not hash to its ${banks.join(', ')} digest`;
    findings.push(finding('digest_mismatch', event, what));
  }
  return findings;
}

function mismatchingBanks(event: UserspaceEvent): string[] {
  const { text, digests } = event;
  if (text === undefined || isKeyed(event)) return [];
  const bytes = Buffer.from(text, 'utf8');
  return [...digests]
    .filter(([bank, value]) => isHashName(bank) && !timingSafeEqual(digest(bank, bytes), value))
    .map(([bank]) => bank);
}

function finding(code: FindingCode, { index }: UserspaceEvent, what: string): Finding {
  return { code, event: index, message: `record ${index} ${what}` };
}
