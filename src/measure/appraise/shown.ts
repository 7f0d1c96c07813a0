import type { HashName } from '../../tpm/algorithms.js';
import type { PcrValues } from '../../tpm/pcr.js';
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
  /** Of the logs as they were sent, where it kept the quote from being explained. */
  readonly problems: { readonly userspace?: LogProblem; readonly ima?: LogProblem };
}

/** What is not quoted is not known; what no log explains may be anything. */
export function registersTally({ registers, values, boot, bank }: Shown, pcrs: readonly number[]): Tally {
  const tally = counting();
  for (const pcr of pcrs) {
    const found = registers.find((one) => one.pcr === pcr);
    if (!found) {
      const message = `PCR ${pcr} is not in the quote`;
      tally.add('unknown', () => ({ code: 'pcr_not_quoted', message, pcr }));
    } else if (boot.gaps.has(pcr)) {
      const message = `the boot log has events of PCR ${pcr} without a ${bank} digest`;
      tally.add('unknown', () => ({ code: 'boot_log_bank_missing', message, log: 'boot-log', pcr }));
    } else if (!found.explained && values) {
      const message = `PCR ${pcr} holds ${found.quoted}, the logs give ${found.derived}`;
      tally.add('fail', () => ({ code: 'pcr_unexplained', message, pcr }));
    }
  }
  if (!values) {
    const message = `no part of the logs gives the quoted digest, so PCR ${pcrs.join(', ')} is not known`;
    tally.add('fail', () => ({
      code: 'quote_unexplained',
      message,
      ...(pcrs[0] === undefined ? {} : { pcr: pcrs[0] }),
    }));
  }
  return tally.done();
}
