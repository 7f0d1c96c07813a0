/** Seeded damage to logs, and what of a log a quote vouches for, told without the code under test. */

import { hash } from 'node:crypto';
import { type BootEvent, parseBootLog } from '../../src/measure/boot/boot-log.js';
import { replayBootLog } from '../../src/measure/boot/boot-replay.js';
import { eventType } from '../../src/measure/boot/event-types.js';
import { parseImaBinary } from '../../src/measure/ima/ima-binary.js';
import { parseUserspaceLog } from '../../src/measure/userspace/userspace-log.js';

export type Draw = (below: number) => number;

/** Numbers that are the same in every run with the same seed (mulberry32). */
export function draws(seed: number): Draw {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** One change: a bit, a byte, four bytes, a cut, a deletion, an insertion, a stretch copied elsewhere, two stretches swapped. */
export function damaged(bytes: Uint8Array, next: Draw): Buffer {
  const copy = Buffer.from(bytes);
  const [at, other] = [next(copy.length), next(copy.length)];
  const size = 1 + next(64);
  switch (next(9)) {
    case 0:
      copy[at] = next(256);
      return copy;
    case 1:
      return copy.fill(next(2) ? 0xff : 0, at, Math.min(at + 4, copy.length));
    case 2:
      return copy.subarray(0, at);
    case 3:
      return Buffer.concat([copy.subarray(0, at), copy.subarray(at + size)]);
    case 4:
      return Buffer.concat([copy.subarray(0, at), Buffer.alloc(size, next(256)), copy.subarray(at)]);
    case 5:
      return Buffer.concat([copy.subarray(0, at), copy.subarray(other, other + size), copy.subarray(at)]);
    case 6:
      copy.copyWithin(at, other, Math.min(other + size, copy.length));
      return copy;
    default:
      copy[at] = (copy[at] ?? 0) ^ (1 << next(8));
      return copy;
  }
}

/** Whole records put elsewhere, left out or twice: what single bytes hardly ever do. */
export function shuffled(records: readonly Uint8Array[], next: Draw): Buffer {
  const rows = [...records];
  const [at, to] = [next(rows.length), next(rows.length)];
  const [taken = Buffer.alloc(0)] = rows.slice(at, at + 1);
  if (next(3) > 0) rows.splice(at, 1);
  if (next(3) > 0) rows.splice(to, 0, taken);
  return Buffer.concat(rows);
}

/** Registers 5 and 6 (partitions, the platform's own) are judged by no component. */
const judgedPcrs = [0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 13, 14, 15];
const checkable: ReadonlySet<number> = new Set([
  eventType.crtmVersion,
  eventType.separator,
  eventType.efiVariableBoot,
  eventType.efiAction,
  eventType.efiVariableDriverConfig,
  eventType.efiVariableAuthority,
]);
const hex = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString('hex');

/** Everything in a boot log that a SHA-256 quote covers: registers, and data where the type says that it was measured. */
export function coveredByBootLog(bytes: Uint8Array): string {
  const log = parseBootLog(bytes);
  const values = replayBootLog(log).pcrs.get('sha256');
  const registers = judgedPcrs.map((pcr) => hex(values?.get(pcr)));
  // Registers do not tell in which order two of them were extended.
  const events = log.events
    .filter(({ pcr, type }) => type !== eventType.noAction && judgedPcrs.includes(pcr))
    .sort((a, b) => a.pcr - b.pcr);
  return JSON.stringify([registers, events.map(coveredByEvent)]);
}

const separator = hash('sha256', Buffer.alloc(4));

/**
 * In PCR 7 type and data decide what an event means, but of a separator. Elsewhere the digest alone does, but data that claims to be what was
 * measured must be it.
 */
function coveredByEvent({ pcr, type, digests, data }: BootEvent): unknown[] {
  const measured = hex(digests.get('sha256'));
  const lies = checkable.has(type) && hash('sha256', data) !== measured;
  const meant = pcr === 7 && measured !== separator ? [type, hex(data)] : [lies];
  return [pcr, measured, ...meant];
}

/** What PCR 10 covers of the first bytes of a list. */
export function coveredByIma(bytes: Uint8Array): string {
  const rows = [...parseImaBinary(bytes)].map(({ pcr, data, violation }) => [
    pcr,
    violation ? 'violation' : hex(data),
  ]);
  return JSON.stringify(rows);
}

/** What registers cover of the first bytes of a userspace log. */
export function coveredByUserspace(bytes: Uint8Array): string {
  // Registers do not tell in which order two of them were extended.
  const events = parseUserspaceLog(bytes)
    .events.filter(({ pcr }) => pcr !== undefined)
    .sort((a, b) => (a.pcr ?? 0) - (b.pcr ?? 0));
  return JSON.stringify(events.map(({ pcr, digests, text }) => [pcr, hex(digests.get('sha256')), text]));
}
