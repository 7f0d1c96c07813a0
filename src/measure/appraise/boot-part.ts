import { createHash } from 'node:crypto';
import { TouchmarkError } from '../../errors.js';
import type { HashName } from '../../tpm/algorithms.js';
import { bootFacts } from './boot-facts.js';
import type { Compiled } from './compile.js';
import type { LogPart, PcrAppraisal } from './contract.js';
import { type BootFacts, noBootLog } from './state.js';

/**
 * What the boot log of this evidence says. The log of a boot does not grow, so one that is unchanged, or whose bytes come
 * again, is not read again.
 * @throws TouchmarkError `evidence_offset`
 */
export function bootPart(
  part: LogPart,
  before: BootFacts | undefined,
  bank: HashName,
  compiled: Compiled | undefined,
): BootFacts {
  if (part.kind === 'absent') {
    const message = `the host has no boot log: ${part.reason.slice(0, 200)}`;
    return { ...noBootLog, problem: { code: 'boot_log_absent', message } };
  }
  if (part.kind === 'unchanged') return before ?? noBootLog;
  if (part.offset > 0) {
    if (before && part.bytes.length === 0) return before;
    const message = `the boot log goes on at ${part.offset}, but it is whole before the kernel starts`;
    throw new TouchmarkError('evidence_offset', message);
  }
  if (before && isSameLog(part.bytes, before)) return before;
  return bootFacts(part.bytes, bank, compiled);
}

function isSameLog(bytes: Uint8Array, { length, sha256 }: BootFacts): boolean {
  return bytes.length === length && createHash('sha256').update(bytes).digest('hex') === sha256;
}

/** Registers that no user space goes on with, and that change in good faith never. */
const decisive = [0, 1, 2, 3, 4, 6, 7, 8, 14];

/** Whether a quote bears the log out, so that it need not be sent again. */
export function isBootLogConfirmed(boot: BootFacts, registers: readonly PcrAppraisal[]): boolean {
  if (boot.sha256 === '' || boot.problem) return false;
  const own = registers.filter(({ pcr }) => decisive.includes(pcr) && boot.pcrs.has(pcr));
  return own.length > 0 && own.every(({ explained }) => explained);
}
