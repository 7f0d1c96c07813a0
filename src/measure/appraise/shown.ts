import type { HashName } from '../../tpm/algorithms.js';
import type { PcrValues } from '../../tpm/pcr.js';
import type { AggregateProblem } from './aggregate-problem.js';
import type { Compiled } from './compile.js';
import type { PcrAppraisal } from './contract.js';
import type { BootFacts, ImaFacts, LogProblem, UserspaceFacts } from './state.js';
import { counting, type Tally } from './tally.js';

/** All that is known once the quote was compared with the logs. */
export interface Shown {
  readonly bank: HashName;
  readonly compiled: Compiled;
  /** Authentic values of the quoted registers; undefined when only their digest is known, and no log gives it. */
  readonly values: PcrValues | undefined;
  readonly registers: readonly PcrAppraisal[];
  readonly boot: BootFacts;
  readonly userspace: UserspaceFacts;
  /** Whether phases were found that no log tells of. */
  readonly silentPhases: boolean;
  readonly ima: ImaFacts;
  /** What is wrong with the entry that binds the list to this start of the kernel. */
  readonly aggregate: AggregateProblem | undefined;
  /** Registers that records of user space claim, and that are not user space's. */
  readonly foreign: ReadonlySet<number>;
  /** Records and entries of the logs as they were sent, with those before them. */
  readonly userspaceRecords: number;
  readonly imaEntries: number;
  /** Of the logs as they were sent, where it kept the quote from being explained. */
  readonly problems: { readonly userspace: LogProblem | undefined; readonly ima: LogProblem | undefined };
}

/** What is not quoted is not known; what no log explains may be anything. */
export function registersTally(shown: Shown, pcrs: readonly number[]): Tally {
  const { registers, values, foreign, boot, bank } = shown;
  const tally = counting();
  for (const pcr of pcrs) {
    const found = registerOf(registers, pcr);
    if (found?.explained) continue;
    if (!found) {
      const message = `PCR ${pcr} is not in the quote`;
      tally.add('unknown', () => ({ code: 'pcr_not_quoted', message, pcr }));
    } else if (boot.gaps.has(pcr)) {
      const message = `the boot log has events of PCR ${pcr} without a ${bank} digest`;
      tally.add('unknown', () => ({ code: 'boot_log_bank_missing', message, log: 'boot-log', pcr }));
    } else if (values) {
      const claimed = foreign.has(pcr) ? '; the userspace log claims it, which never extends it' : '';
      const message = `PCR ${pcr} holds ${found.quoted}, ${given(shown, found)}${claimed}`;
      const log = found.from === 'start' ? {} : { log: found.from };
      tally.add('fail', () => ({ code: 'pcr_unexplained', message, pcr, ...log }));
    }
  }
  if (!values) {
    const logs = `${bootLog(shown)}, ${records(shown)} and ${list(shown)}`;
    const message = `${logs} do not give the quoted digest, so PCR ${pcrs.join(', ')} is not known`;
    tally.add('fail', () => ({
      code: 'quote_unexplained',
      message,
      ...(pcrs[0] === undefined ? {} : { pcr: pcrs[0] }),
    }));
  }
  return tally.done();
}

export function registerOf(registers: readonly PcrAppraisal[], pcr: number): PcrAppraisal | undefined {
  for (const one of registers) if (one.pcr === pcr) return one;
  return undefined;
}

/** Which log it is that does not give the value, and how much there is of it. */
function given(shown: Shown, { pcr, derived, from }: PcrAppraisal): string {
  if (from === 'start') return 'and no log tells what extended it';
  const whose = {
    'boot-log': () => `${bootLog(shown)} gives ${derived} by ${shown.boot.events.get(pcr) ?? 0} events`,
    'userspace-log': () => `${records(shown)} on top of the boot log gives ${derived}`,
    'ima-list': () => `${list(shown)} gives ${derived} at its end`,
  };
  return whose[from]();
}

function bootLog({ boot: { problem, length } }: Shown): string {
  return problem ? problem.message : `the boot log of ${length} bytes`;
}

function records({ problems, userspaceRecords }: Shown): string {
  return problems.userspace ? problems.userspace.message : `the userspace log of ${userspaceRecords} records`;
}

function list({ problems, imaEntries }: Shown): string {
  return problems.ima ? problems.ima.message : `the IMA list of ${imaEntries} entries`;
}
