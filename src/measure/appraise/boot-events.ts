import { digest, type HashName } from '../../tpm/algorithms.js';
import type { BootEvent } from '../boot/boot-log.js';
import { mismatchingBanks } from '../boot/checkable-data.js';
import { eventType, eventTypeName } from '../boot/event-types.js';
import type { Digest } from '../policy/model.js';
import { digestText } from './digest-text.js';
import type { ReasonCode } from './reasons.js';
import type { Counting, Reason, Severity } from './tally.js';

/** An event as far as the quoted bank vouches for it: register, order and digest. Its type and data are a claim. */
export interface SeenEvent {
  readonly event: BootEvent;
  readonly digest: Digest;
  /** Whether the type says that the digest is of the data, and it is not. */
  readonly lies: boolean;
}

/** Events that extend, by register, in their order. */
export type SeenEvents = (pcr: number) => readonly SeenEvent[];

export function seenEvents(events: readonly BootEvent[], bank: HashName): SeenEvents {
  const byPcr = new Map<number, SeenEvent[]>();
  for (const event of events) {
    const value = event.digests.get(bank);
    if (event.type === eventType.noAction || !value) continue;
    const seen = { event, digest: digestText(bank, value), lies: mismatchingBanks(event).includes(bank) };
    const known = byPcr.get(event.pcr);
    if (known) known.push(seen);
    else byPcr.set(event.pcr, [seen]);
  }
  return (pcr) => byPcr.get(pcr) ?? [];
}

export function bootReason(code: ReasonCode, { event, digest: value }: SeenEvent, what: string): Reason {
  const message = `event ${event.index} in PCR ${event.pcr} (${eventTypeName(event.type)}) ${what}`;
  return { code, message, log: 'boot-log', event: event.index, pcr: event.pcr, value };
}

export function addBoot(
  to: Counting,
  severity: Severity,
  code: ReasonCode,
  seen: SeenEvent,
  what: string,
): void {
  to.add(severity, () => bootReason(code, seen, what));
}

/** Whether the event's data is not what was measured; then nothing else is to be believed of it. */
export function refusedForItsData(to: Counting, seen: SeenEvent): boolean {
  if (seen.lies) addBoot(to, 'fail', 'event_data_mismatch', seen, 'has data that is not what was measured');
  return seen.lies;
}

const separatorData = ['00000000', 'ffffffff'];
const ERROR_SEPARATOR = '00000001';

export interface Separators {
  /** Whether the event is one, good or bad; it is counted then. */
  take(seen: SeenEvent): boolean;
  /** Whether one was taken. */
  seen(pcr: number): boolean;
  /** Says which of the registers have none. */
  end(pcrs: readonly number[]): void;
}

/** Exactly one in each register of the firmware: it ends the time in which only firmware measures. */
export function separators(bank: HashName, to: Counting): Separators {
  const good = separatorData.map((hex) => digestOfHex(bank, hex));
  const error = digestOfHex(bank, ERROR_SEPARATOR);
  const taken = new Set<number>();
  const judge = (seen: SeenEvent) => {
    if (seen.digest === error) {
      addBoot(to, 'fail', 'separator_error', seen, 'is an error separator: the firmware reported a failure');
    } else if (!good.includes(seen.digest)) {
      addBoot(to, 'fail', 'separator_value', seen, 'is a separator that is neither 00000000 nor ffffffff');
    } else if (seen.lies) {
      addBoot(to, 'fail', 'event_data_mismatch', seen, 'has data that is not what was measured');
    } else if (taken.has(seen.event.pcr)) {
      addBoot(to, 'fail', 'separator_repeated', seen, 'is one more separator');
    }
  };
  return {
    take: (seen) => {
      const is =
        seen.event.type === eventType.separator || seen.digest === error || good.includes(seen.digest);
      if (!is) return false;
      judge(seen);
      taken.add(seen.event.pcr);
      return true;
    },
    seen: (pcr) => taken.has(pcr),
    end: (pcrs) => {
      for (const pcr of pcrs.filter((one) => !taken.has(one))) {
        const message = `PCR ${pcr} has no separator`;
        to.add('fail', () => ({ code: 'separator_missing', message, log: 'boot-log', pcr }));
      }
    },
  };
}

function digestOfHex(bank: HashName, text: string): Digest {
  return digestText(bank, digest(bank, Buffer.from(text, 'hex')));
}
