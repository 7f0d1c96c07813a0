import { TouchmarkError } from '../errors.js';

/** Reads the little-endian, unaligned records of a boot log, never beyond its buffer. */
export interface LogReader {
  u8(): number;
  u16(): number;
  u32(): number;
  /** Exactly `size` bytes, a view into the buffer. */
  bytes(size: number): Uint8Array;
  offset(): number;
}

/** @param what names the bytes in messages, for example `the boot log`. */
export function logReader(data: Buffer, what: string): LogReader {
  let offset = 0;
  const take = (size: number): number => {
    if (size > data.length - offset) {
      const message = `${what} is cut off: ${size} bytes wanted at offset ${offset} of ${data.length}`;
      throw new TouchmarkError('boot_log_truncated', message);
    }
    const start = offset;
    offset += size;
    return start;
  };
  return {
    u8: () => data.readUInt8(take(1)),
    u16: () => data.readUInt16LE(take(2)),
    u32: () => data.readUInt32LE(take(4)),
    bytes: (size) => {
      const start = take(size);
      return data.subarray(start, start + size);
    },
    offset: () => offset,
  };
}
