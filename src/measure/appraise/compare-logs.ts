import { TouchmarkError } from '../../errors.js';
import { type PcrValues, pcrDigest } from '../../tpm/pcr.js';
import { sameBytes } from '../../tpm/quote-checks.js';
import { IMA_PCR } from '../ima/ima-replay.js';
import { KERNEL_PCR } from '../uki/pcr11.js';
import { aggregateProblem } from './aggregate-problem.js';
import { bootPart } from './boot-part.js';
import type { Compiled } from './compile.js';
import type { Evidence } from './contract.js';
import { imaPart, matchIma } from './ima-part.js';
import { appraiseRegisters } from './registers.js';
import type { Shown } from './shown.js';
import { solveQuote } from './solve-quote.js';
import { type AppraisalState, type BootFacts, noUserspaceLog } from './state.js';
import {
  confirmUserspace,
  matchUserspace,
  type UserspacePart,
  type UserspacePrefix,
  userspacePart,
} from './userspace-part.js';

/** What the quote and the logs say together, whether or not there is a policy to judge it by. */
export interface Compared extends Omit<Shown, 'compiled'> {
  readonly compiled: Compiled | undefined;
}

export function isUnderPolicy(compared: Compared): compared is Compared & Shown {
  return compared.compiled !== undefined;
}

/**
 * Replays the logs, finds how far the quote bears them out, and judges what is confirmed.
 * @throws TouchmarkError `evidence_offset`, `quote_pcr_values`
 */
export function compareLogs(
  evidence: Evidence,
  before: AppraisalState | undefined,
  compiled: Compiled | undefined,
): Compared {
  const { quote, logs } = evidence;
  const { bank, pcrs } = quote.selection;
  const boot = bootPart(logs['boot-log'], before?.boot, bank, compiled);
  checkUserspaceBase(evidence, before, boot);
  const known = before?.userspace ?? noUserspaceLog;
  const part = userspacePart(logs['userspace-log'], known, boot, bank);
  const list = imaPart(logs['ima-list'], before?.ima, bank);
  const toTry = { boot, userspace: part, ima: list };
  const values = authenticValues(evidence) ?? solveQuote(quote, toTry, evidence.hints);
  const match = values && matchUserspace(part, values, boot, bank);
  const kernel = matchIma(list, values?.get(IMA_PCR), bank, compiled);
  const registers = appraiseRegisters(pcrs, bank, values, {
    boot,
    userspace: match?.prefix.registers ?? part.before.pcrs,
    ima: kernel,
  });
  const { facts: ima } = kernel;
  return {
    bank,
    compiled,
    values,
    registers,
    boot,
    ima,
    aggregate: aggregateProblem({ ima, boot, bank, values, registers }),
    userspace: match?.whole ? confirmUserspace(part, match.prefix, compiled, bank) : known,
    foreign: part.foreign,
    userspaceRecords: part.before.events + part.log.steps.length,
    imaEntries: kernel.entries,
    silentPhases: match?.whole === true && isSilent(part, match.prefix),
    problems: { ima: kernel.problem, userspace: match?.whole ? undefined : part.log.problem },
  };
}

/** Records are replayed on top of the firmware's log: with another one below, what is remembered of them is void. */
function checkUserspaceBase({ logs }: Evidence, before: AppraisalState | undefined, boot: BootFacts): void {
  const part = logs['userspace-log'];
  const anew = part.kind === 'absent' || (part.kind === 'bytes' && part.offset === 0);
  if (anew || !before || before.boot === boot || before.userspace.events === 0) return;
  const message = 'the boot log is another one, so the userspace log is wanted whole';
  throw new TouchmarkError('evidence_offset', message);
}

/** The values beside the quote, compared with its digest once more. */
function authenticValues({ quote, pcrValues }: Evidence): PcrValues | undefined {
  if (!pcrValues) return undefined;
  if (sameBytes(pcrDigest(quote.digestHash, quote.selection, pcrValues), quote.pcrDigest)) return pcrValues;
  throw new TouchmarkError('quote_pcr_values', 'the PCR values beside the quote do not give its digest');
}

function isSilent({ before, log }: UserspacePart, { count, registers }: UserspacePrefix): boolean {
  return before.events + log.steps.length + count === 0 && registers.has(KERNEL_PCR);
}
