/** What a boot measured, as rows: the firmware's log, then that of user space. What they say of themselves nobody vouches for. */
import { messageOf } from '../../errors.js';
import type { LogKind, LogPart } from '../../measure/appraise/contract.js';
import { hex } from '../../measure/appraise/digest-text.js';
import { parseBootLog } from '../../measure/boot/boot-log.js';
import { bootEventText } from '../../measure/boot/event-text.js';
import { eventType, eventTypeName } from '../../measure/boot/event-types.js';
import { briefText } from '../../measure/path-text.js';
import { parseUserspaceLog } from '../../measure/userspace/userspace-log.js';

export interface ChainEvent {
  readonly log: Exclude<LogKind, 'ima-list'>;
  /** As `inspect` and reasons count. */
  readonly index: number;
  readonly pcr: number;
  readonly type: string;
  /** Hex, in the bank of the quote; empty: the log has none. */
  readonly digest: string;
  readonly text: string;
}

export interface ChainLogs {
  readonly bootLog: LogPart | undefined;
  readonly userspaceLog: LogPart | undefined;
  readonly bank: string;
}

export interface ReadEvents {
  readonly events: readonly ChainEvent[];
  /** Why there are none of a log. */
  readonly notes: readonly string[];
}

export function chainEvents({ bootLog, userspaceLog, bank }: ChainLogs): ReadEvents {
  const boot = readLog(bootLog, 'boot log', (bytes) => bootEvents(bytes, bank));
  const userspace = readLog(userspaceLog, 'userspace log', (bytes) => userspaceEvents(bytes, bank));
  const silent = bootLog?.kind === 'bytes' ? [] : ['This host sent no boot log.'];
  return {
    events: [...boot.events, ...userspace.events],
    notes: [...silent, ...boot.notes, ...userspace.notes],
  };
}

/** A log that cannot be read hides nothing else: the component that needs it says what follows. */
function readLog(
  part: LogPart | undefined,
  name: string,
  read: (bytes: Uint8Array) => readonly ChainEvent[],
): ReadEvents {
  if (part?.kind !== 'bytes') return { events: [], notes: [] };
  try {
    return { events: read(part.bytes), notes: [] };
  } catch (error) {
    return { events: [], notes: [`The ${name} of this host cannot be read: ${messageOf(error)}.`] };
  }
}

function bootEvents(bytes: Uint8Array, bank: string): ChainEvent[] {
  const measured = parseBootLog(bytes).events.filter(({ type }) => type !== eventType.noAction);
  return measured.map((event) => ({
    ...{ log: 'boot-log', index: event.index, pcr: event.pcr, type: eventTypeName(event.type) },
    ...{ digest: hexOf(event.digests.get(bank)), text: bootEventText(event) },
  }));
}

function userspaceEvents(bytes: Uint8Array, bank: string): ChainEvent[] {
  return parseUserspaceLog(bytes).events.flatMap((event): ChainEvent[] => {
    const { index, pcr, eventType: kind, contentType, digests, text = '' } = event;
    if (pcr === undefined) return [];
    const type = briefText(Buffer.from(kind === '' ? contentType : kind));
    const digest = hexOf(digests.get(bank));
    return [{ log: 'userspace-log', index, pcr, type, digest, text: briefText(Buffer.from(text)) }];
  });
}

function hexOf(digest: Uint8Array | undefined): string {
  return digest === undefined ? '' : hex(digest);
}
