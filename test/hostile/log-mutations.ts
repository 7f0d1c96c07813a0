/** Seeded damage to logs. */
import { walkBootLog, walkIma } from './log-oracle.js';

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

/** Types of events that mean something somewhere. */
const types = [1, 4, 5, 6, 8, 0xd, 0x80000001, 0x80000003, 0x80000007, 0x80000010, 0x800000e0];

/** Another type, or another register, in front of an event: neither is covered by its digest. */
export function relabelledBoot(bytes: Buffer, next: Draw): Buffer {
  const { events } = walkBootLog(bytes);
  const copy = Buffer.from(bytes);
  const at = events[next(events.length)]?.start ?? 0;
  if (next(4) === 0) copy.writeUInt32LE(next(16), at);
  else copy.writeUInt32LE(types[next(types.length)] ?? 0, at + 4);
  return copy;
}

const templates = [
  'ima',
  'ima-ng',
  'ima-sig',
  'ima-buf',
  'ima-sigv2',
  'ima-modsig',
  'x',
  'd-ng|modsig|n',
  'd-ng|n',
];

/** Another name of the template in front of an entry, which no digest covers either. */
export function relabelledIma(bytes: Buffer, next: Draw): Buffer {
  const entries = walkIma(bytes);
  const entry = entries[next(entries.length)];
  if (!entry) return bytes;
  const name = Buffer.from(templates[next(templates.length)] ?? '');
  const size = Buffer.alloc(4);
  size.writeUInt32LE(name.length);
  const old = entry.start + 24;
  return Buffer.concat([bytes.subarray(0, old), size, name, bytes.subarray(old + 4 + entry.template.length)]);
}
