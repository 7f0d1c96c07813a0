/**
 * Finds damage in LevelDB's write-ahead log that LevelDB itself passes over in silence: it stops at a bad record and forgets
 * all that follows. A bad end is what a crash leaves of a write that nobody acknowledged; a bad record with whole ones after it
 * is a disk that lost what was acknowledged. Pure.
 *
 * The log (log_format.md of LevelDB) is a run of blocks of 32 KiB; a record lies in one or more fragments, each with a
 * masked CRC-32C, a length and a type, and none crosses the end of a block.
 */

const BLOCK = 32 * 1024;
const HEADER = 7;
const FULL = 1;
const FIRST = 2;
const LAST = 4;
const MASK_DELTA = 0xa282ead8;

const crcTable = Uint32Array.from({ length: 256 }, (_, n) => {
  let value = n;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0x82f63b78 ^ (value >>> 1) : value >>> 1;
  return value >>> 0;
});

/**
 * Whether a record begins, whole, behind one that is damaged. Commits reach the disk one after the other, so behind the
 * first damage there can be later fragments of the same record, but no other one, unless the disk did it.
 * @returns the byte at which the damage begins, or undefined
 */
export function damageBeforeEnd(log: Uint8Array): number | undefined {
  const damaged = firstDamage(log);
  if (damaged === undefined) return undefined;
  for (let at = damaged + 1; at + HEADER <= log.length; at += 1) {
    const type = fragmentType(log, at);
    if (type === FULL || type === FIRST) return damaged;
  }
  return undefined;
}

function firstDamage(log: Uint8Array): number | undefined {
  for (let at = 0; at < log.length; ) {
    const left = BLOCK - (at % BLOCK);
    if (left < HEADER) at += left;
    else if (fragmentType(log, at) === undefined) return at;
    else at += HEADER + lengthAt(log, at);
  }
  return undefined;
}

/** Undefined unless a whole fragment with the right checksum begins here. */
function fragmentType(log: Uint8Array, at: number): number | undefined {
  const type = log[at + 6];
  const length = lengthAt(log, at);
  const end = at + HEADER + length;
  if (type === undefined || type < FULL || type > LAST) return undefined;
  if (end > log.length || (at % BLOCK) + HEADER + length > BLOCK) return undefined;
  const stored =
    (byte(log, at) | (byte(log, at + 1) << 8) | (byte(log, at + 2) << 16) | (byte(log, at + 3) << 24)) >>> 0;
  return stored === maskedCrc(log.subarray(at + 6, end)) ? type : undefined;
}

function maskedCrc(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const value of data) crc = (crcTable[(crc ^ value) & 0xff] ?? 0) ^ (crc >>> 8);
  crc = ~crc >>> 0;
  return (((crc >>> 15) | (crc << 17)) + MASK_DELTA) >>> 0;
}

function lengthAt(log: Uint8Array, at: number): number {
  return byte(log, at + 4) | (byte(log, at + 5) << 8);
}

function byte(log: Uint8Array, at: number): number {
  return log[at] ?? 0;
}
