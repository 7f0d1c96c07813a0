import { digest, type HashName } from '../../tpm/algorithms.js';
import { isKeyed, type UserspaceEvent, userspacePcrs } from '../userspace/userspace-log.js';
import { isReadable } from './command-line-lookup.js';
import type { Compiled } from './compile.js';
import { digestText, quoted } from './digest-text.js';
import type { ReasonCode } from './reasons.js';
import type { UserspaceTallies } from './state.js';
import { type Counting, counting, type Severity } from './tally.js';

/** Registers that the boot extends as well. PCR 15 is user space's alone. */
const sharedPcrs: ReadonlySet<number> = new Set([9, 11, 12, 13]);
/** Those of them that hold command lines. */
const linePcrs: ReadonlySet<number> = new Set([9, 11, 12]);

/** A record with what its digest proves. */
interface SeenRecord {
  readonly event: UserspaceEvent;
  readonly pcr: number;
  readonly measured: string;
  /** Whether its text is what was measured. */
  readonly proven: boolean;
  readonly keyed: boolean;
}

/**
 * Judges records that a quote has confirmed: a text counts only if it hashes to the digest. Who writes the logs also chooses
 * which of them tells of a measurement, so a record of a register that the boot extends may be an event of the boot.
 * Records of NV indices are left out: no quoted register holds them.
 */
export function judgeUserspace(
  before: UserspaceTallies,
  events: readonly UserspaceEvent[],
  compiled: Compiled | undefined,
  bank: HashName,
): UserspaceTallies {
  const { judged, moved, untold } = before;
  if (!compiled) return { judged, moved, untold };
  const to = { judged: counting(judged), moved: counting(moved), untold: counting(untold) };
  for (const event of events) {
    if (event.pcr === undefined) continue;
    const record = seenRecord(event, event.pcr, bank);
    to.judged.check();
    judgeRecord(to.judged, record, compiled);
    if (sharedPcrs.has(event.pcr)) judgeShared(to, record, compiled);
  }
  return { judged: to.judged.done(), moved: to.moved.done(), untold: to.untold.done() };
}

function seenRecord(event: UserspaceEvent, pcr: number, bank: HashName): SeenRecord {
  const { text } = event;
  const measured = digestText(bank, event.digests.get(bank) ?? new Uint8Array());
  const proven = text !== undefined && digestText(bank, digest(bank, Buffer.from(text))) === measured;
  return { event, pcr, measured, proven, keyed: isKeyed(event) };
}

function judgeRecord(tally: Counting, record: SeenRecord, { userspace }: Compiled): void {
  const { pcr, measured, proven, keyed } = record;
  const { text } = record.event;
  const fail = (code: ReasonCode, what: string) => add(tally, 'fail', code, record, what);
  if (!userspacePcrs.has(pcr)) {
    fail('userspace_pcr_unexpected', 'claims a register that user space does not extend');
  } else if (text !== undefined && !proven && !keyed) {
    fail('userspace_text_mismatch', `has a text that is not what was measured: ${quoted(text)}`);
  } else if (userspace.digests.has(measured)) {
    return;
  } else if (text !== undefined && userspace.acceptsText(text, pcr)) {
    const what = `measures a key under the name ${quoted(text)}`;
    if (!proven) add(tally, 'warn', 'userspace_text_unproven', record, what);
  } else if (text === undefined && sharedPcrs.has(pcr)) {
    fail('userspace_record_untold', 'has no text, and may be an event of the boot');
  } else {
    fail('userspace_record_unknown', `measures ${quoted(text ?? measured)}, which nothing accepts`);
  }
}

/** What the boot chain and the command line are to be told of a record. */
function judgeShared(
  to: Readonly<Record<'moved' | 'untold', Counting>>,
  record: SeenRecord,
  { userspace, bootChain }: Compiled,
): void {
  const { pcr, measured, proven } = record;
  const { text } = record.event;
  const told = proven && text !== undefined && isReadable(text);
  const byDigest = userspace.digests.has(measured) || bootChain.has(measured);
  if (!byDigest && !(told && userspace.acceptsText(text, pcr))) {
    const what = 'is accepted by nothing, and may be an event of the boot';
    add(to.moved, 'unknown', 'userspace_record_uncertain', record, what);
  } else if (!told && linePcrs.has(pcr)) {
    const what = 'has no readable text of its digest, and may be a command line';
    add(to.untold, 'unknown', 'userspace_record_untold', record, what);
  }
}

function add(tally: Counting, severity: Severity, code: ReasonCode, record: SeenRecord, what: string): void {
  const { event, pcr, measured } = record;
  const message = `record ${event.index} of the userspace log in PCR ${pcr} ${what}`;
  const value = event.text?.slice(0, 4096) ?? measured;
  tally.add(severity, () => ({ code, message, log: 'userspace-log', event: event.index, pcr, value }));
}
