import { digest, type HashName } from '../../tpm/algorithms.js';
import type { UserspaceEvent } from '../userspace/userspace-log.js';
import type { Compiled } from './compile.js';
import { digestText, quoted } from './digest-text.js';
import type { ReasonCode } from './reasons.js';
import { type Counting, counting, type Severity, type Tally } from './tally.js';

/** Measured as an HMAC under the key, so that the text cannot be checked. */
const KEYED = 'volume-key';
const KEYED_PCR = 15;

/**
 * Judges records that a quote has confirmed: a text counts only if it hashes to the digest. Records of NV indices are left
 * out: no quoted register holds them.
 */
export function judgeUserspace(
  before: Tally,
  events: readonly UserspaceEvent[],
  compiled: Compiled | undefined,
  bank: HashName,
): Tally {
  if (!compiled?.policy.userspace) return before;
  const tally = counting(before);
  for (const event of events) {
    if (event.pcr === undefined) continue;
    tally.check();
    judgeRecord(tally, event, event.pcr, compiled, bank);
  }
  return tally.done();
}

function judgeRecord(
  tally: Counting,
  event: UserspaceEvent,
  pcr: number,
  { userspace }: Compiled,
  bank: HashName,
): void {
  const measured = digestText(bank, event.digests.get(bank) ?? new Uint8Array());
  const { text } = event;
  const add = (severity: Severity, code: ReasonCode, what: string) => {
    const message = `record ${event.index} in PCR ${pcr} ${what}`;
    const value = text?.slice(0, 4096) ?? measured;
    tally.add(severity, () => ({ code, message, log: 'userspace-log', event: event.index, pcr, value }));
  };
  const proven = text !== undefined && digestText(bank, digest(bank, Buffer.from(text))) === measured;
  const keyed = event.eventType === KEYED && pcr === KEYED_PCR;
  if (text !== undefined && !proven && !keyed) {
    add('fail', 'userspace_text_mismatch', `has a text that is not what was measured: ${quoted(text)}`);
  } else if (userspace.digests.has(measured)) {
    return;
  } else if (text !== undefined && userspace.acceptsText(text, pcr)) {
    if (!proven) add('warn', 'userspace_text_unproven', `measures a key under the name ${quoted(text)}`);
  } else {
    add('fail', 'userspace_record_unknown', `measures ${quoted(text ?? measured)}, which nothing accepts`);
  }
}
