/** What is remembered of hosts between two judgements; all of it can be had again from the archive. */
import { isDeepStrictEqual } from 'node:util';
import { type Appraisal, type BootState, type LogKind, logKinds } from '../../measure/appraise/contract.js';
import type { PcrValues } from '../../tpm/pcr.js';
import type { QuoteFacts } from '../../tpm/quote.js';
import type { AppraisalRecord } from '../model.js';
import { newestId } from './archive-keys.js';
import type { InForce } from './contract.js';

/** Where the logs of one boot are kept, and how much of each. */
export interface LogSet {
  /** `EvidenceRecord.boot`. */
  readonly boot: string;
  readonly stored: Readonly<Record<LogKind, number>>;
}

export interface Remembered {
  /** Hex: what is remembered is of quotes by this key. */
  readonly akName: string;
  /** Of the newest quote. */
  readonly quote: QuoteFacts;
  readonly pcrValues: PcrValues | undefined;
  readonly state: BootState;
  readonly appraisal: Appraisal;
  /** `at` is of the newest evidence, whether or not it was stored. */
  readonly record: AppraisalRecord;
  readonly inForce: InForce | undefined;
  /** `judgementKey` of this judgement. */
  readonly key: string;
  readonly set: LogSet;
  /** The newest record in the archive. */
  readonly evidenceId: string;
  /** Unix milliseconds of the last time that all logs were read from their beginning. */
  readonly wholeAt: number;
}

/**
 * What is remembered once a judgement is written. Another one of the same boot may have been written meanwhile: what that
 * one kept is on the disk, whatever this one began from.
 */
export function joinRemembered(written: Remembered, now: Remembered | undefined): Remembered {
  if (now === undefined) return written;
  const set = joinSets(written.set, now.set);
  const evidenceId = newestId(written.evidenceId, now.evidenceId);
  if (set === written.set && evidenceId === written.evidenceId) return written;
  return { ...written, set, evidenceId };
}

/** The same after a quote of which the same is to be said. */
export function heardAgain(
  known: Remembered,
  { quote, pcrValues }: Pick<Remembered, 'quote' | 'pcrValues'>,
  at: number,
): Remembered {
  const { akName, state, appraisal, inForce, key, set, evidenceId, wholeAt } = known;
  const record = { ...known.record, at };
  return { akName, quote, pcrValues, state, appraisal, record, inForce, key, set, evidenceId, wholeAt };
}

/**
 * What parts that go on from `known` go on from now: as good, and judged under what holds now, is what was remembered since
 * of just as much of the same logs.
 */
export function newestOf(known: Remembered, now: Remembered | undefined): Remembered {
  if (now === known || now === undefined) return known;
  const same =
    now.akName === known.akName &&
    now.set.boot === known.set.boot &&
    now.state.bootLogSha256 === known.state.bootLogSha256 &&
    isDeepStrictEqual(now.state.confirmed, known.state.confirmed);
  return same ? now : known;
}

/** Of two views of one place, that which knows of more there; of two places the first. */
export function joinSets(set: LogSet, other: LogSet | undefined): LogSet {
  return other?.boot === set.boot ? grownTo(set, (kind) => other.stored[kind]) : set;
}

/** With at least so much of each log; the same set where nothing is longer. */
export function grownTo(set: LogSet, length: (kind: LogKind) => number): LogSet {
  const longer = (kind: LogKind) => Math.max(set.stored[kind], length(kind));
  if (logKinds.every((kind) => longer(kind) === set.stored[kind])) return set;
  return {
    boot: set.boot,
    stored: {
      'boot-log': longer('boot-log'),
      'userspace-log': longer('userspace-log'),
      'ima-list': longer('ima-list'),
    },
  };
}

/** Equal for two moments at which the same evidence is judged alike. */
export function judgementKey(inForce: InForce | undefined, at: number): string {
  if (inForce === undefined) return '';
  const { group, policy } = inForce;
  const open = policy.next.map(({ from, until }) => (from <= at && at < until ? '1' : '0')).join('');
  return `${policy.id}/${open}/${group.name}/${maintenanceEnd(inForce, at)}`;
}

/** When the maintenance that is under way ends, back-to-back windows as one; 0: none is. */
export function maintenanceEnd(inForce: InForce | undefined, at: number): number {
  let end = 0;
  const windows = [...(inForce?.group.maintenance ?? [])].sort((a, b) => a.from - b.from);
  for (const { from, until } of windows) {
    if (from <= Math.max(at, end) && until > at && (from <= at || end > 0)) end = Math.max(end, until);
  }
  return end;
}

/** Whether evidence of this quote goes on from what is remembered. */
export function goesOn(
  known: Remembered | undefined,
  akName: string,
  quote: QuoteFacts,
): known is Remembered {
  return (
    known !== undefined &&
    known.akName === akName &&
    known.quote.selection.bank === quote.selection.bank &&
    known.state.resetCount === quote.resetCount &&
    known.state.restartCount <= quote.restartCount
  );
}

/** Registers that the logs explained before and explain no more. */
export function losesExplanation(before: Appraisal, now: Appraisal): boolean {
  if (now.explanation.pcrs.every((pcr) => pcr.explained)) return false;
  const explained = new Set(before.explanation.pcrs.filter((pcr) => pcr.explained).map(({ pcr }) => pcr));
  return now.explanation.pcrs.some(({ pcr, explained: still }) => !still && explained.has(pcr));
}

const IMA_PCR = 10;

/** Whether the quoted registers are not what the list gives: only other registers, or another list, change that. */
export function isListUnexplained({ explanation }: Appraisal): boolean {
  return explanation.pcrs.some(({ pcr, explained }) => pcr === IMA_PCR && !explained);
}

/** Whether some other register is not what the boot log and user space's records give. */
export function isBootUnexplained({ explanation }: Appraisal): boolean {
  return explanation.pcrs.some(({ pcr, explained }) => pcr !== IMA_PCR && !explained);
}

/** Whether quotes vouch for a log up to where it is confirmed, so that what follows is no part of a judgement. */
export function isVouchedFor({ explanation: { pcrs } }: Appraisal, kind: LogKind): boolean {
  if (kind === 'boot-log') return false;
  if (kind === 'ima-list') return pcrs.some(({ pcr, explained }) => pcr === IMA_PCR && explained);
  return pcrs.every(({ pcr, explained }) => pcr < 8 || pcr === IMA_PCR || explained);
}
