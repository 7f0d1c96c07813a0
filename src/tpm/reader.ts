import { TouchmarkError } from '../errors.js';

/**
 * Reads the big-endian structures of TPM 2.0 Part 2 out of one buffer. Nothing is read beyond it, and a size is
 * compared with what is left before anything is taken.
 */
export interface Reader {
  u8(): number;
  u16(): number;
  u32(): number;
  u64(): bigint;
  /** Exactly `size` bytes: a copy, which the caller may keep. */
  bytes(size: number): Uint8Array;
  /** A TPM2B: 16-bit size, then that many bytes, at most `max`. */
  sized(max: number): Uint8Array;
  /** How many bytes have not been read. */
  left(): number;
  /** Refuses bytes that follow the structure. */
  end(): void;
}

/** @param what names the structure in messages, for example `TPMT_PUBLIC`. */
export function readerOf(input: Uint8Array, what: string): Reader {
  const data = Buffer.from(input.buffer, input.byteOffset, input.byteLength);
  let offset = 0;
  const take = (size: number): number => {
    if (size > data.length - offset) {
      const message = `${what} is cut off: ${size} bytes wanted at offset ${offset} of ${data.length}`;
      throw new TouchmarkError('tpm_structure_truncated', message);
    }
    const start = offset;
    offset += size;
    return start;
  };
  const bytes = (size: number): Uint8Array => {
    const start = take(size);
    return new Uint8Array(data.subarray(start, start + size));
  };
  const u16 = (): number => data.readUInt16BE(take(2));
  return {
    u8: () => data.readUInt8(take(1)),
    u16,
    u32: () => data.readUInt32BE(take(4)),
    u64: () => data.readBigUInt64BE(take(8)),
    bytes,
    sized: (max) => bytes(atMost(u16(), max, what)),
    left: () => data.length - offset,
    end: () => {
      if (offset === data.length) return;
      const message = `${what} is followed by ${data.length - offset} bytes that do not belong to it`;
      throw new TouchmarkError('tpm_structure_trailing', message);
    },
  };
}

/** Bounds a count or size that was read, before anything is allocated or looped over. */
export function atMost(value: number, max: number, what: string): number {
  if (value > max) {
    throw new TouchmarkError(
      'tpm_structure_too_large',
      `${what} has a field of size ${value}, at most ${max} is allowed`,
    );
  }
  return value;
}
