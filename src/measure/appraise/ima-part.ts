import type { HashName } from '../../tpm/algorithms.js';
import type { Compiled } from './compile.js';
import type { LogPart } from './contract.js';
import { latin1 } from './digest-text.js';
import { walkIma } from './ima-walk.js';
import { imaJudging } from './judge-ima.js';
import { type ImaFacts, type LogProblem, noImaList } from './state.js';

export interface ImaPart {
  /** What this part goes on from. */
  readonly before: ImaFacts;
  readonly bytes: Uint8Array;
  /** What was known whatever this part says. */
  readonly known: ImaFacts;
  readonly absent: LogProblem | undefined;
}

export interface ImaOutcome {
  /** With the new entries, if the quote bears them out; otherwise as it was. */
  readonly facts: ImaFacts;
  /** PCR 10 as the list gives it: where it matches, or at its end. */
  readonly value: Uint8Array;
  readonly entries: number;
  readonly problem: LogProblem | undefined;
}

const nothing = new Uint8Array();

export function imaPart(part: LogPart, before: ImaFacts | undefined, bank: HashName): ImaPart {
  const known = before ?? noImaList(bank);
  const absent = undefined;
  if (part.kind === 'unchanged') return { before: known, bytes: nothing, known, absent };
  if (part.kind === 'bytes')
    return { before: part.offset > 0 ? known : noImaList(bank), bytes: part.bytes, known, absent };
  const message = `the host has no IMA list: ${part.reason.slice(0, 200)}`;
  return { before: noImaList(bank), bytes: nothing, known, absent: { code: 'ima_list_absent', message } };
}

/**
 * Judges entries up to the first that makes PCR 10 what the quote holds. The kernel writes an entry before it extends the
 * register, so a list that was read after the quote always has such a prefix; if this one has none, nothing of it counts.
 * @param wanted the authentic PCR 10; undefined when it is not quoted or not known
 */
export function matchIma(
  { before, bytes, known, absent }: ImaPart,
  wanted: Uint8Array | undefined,
  bank: HashName,
  compiled: Compiled | undefined,
): ImaOutcome {
  if (!wanted) return { facts: known, value: before.value, entries: before.entries, problem: absent };
  const target = latin1(wanted);
  if (latin1(before.value) === target) {
    return { facts: before, value: before.value, entries: before.entries, problem: absent };
  }
  const judging = imaJudging(before, compiled);
  const walk = walkIma(bytes, before, bank, (record, value) => {
    judging.entry(record);
    return value === target;
  });
  const { value, entries } = walk;
  if (!walk.stopped) return { facts: known, value, entries, problem: absent ?? walk.problem };
  return { facts: judging.done({ bytes: walk.bytes, value, entries }), value, entries, problem: undefined };
}
