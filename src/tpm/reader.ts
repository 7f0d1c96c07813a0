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
  return new BufferReader(input, what);
}

class BufferReader implements Reader {
  readonly #data: Buffer;
  readonly #what: string;
  #offset = 0;

  constructor(input: Uint8Array, what: string) {
    this.#data = Buffer.from(input.buffer, input.byteOffset, input.byteLength);
    this.#what = what;
  }

  u8(): number {
    return this.#data.readUInt8(this.#take(1));
  }

  u16(): number {
    return this.#data.readUInt16BE(this.#take(2));
  }

  u32(): number {
    return this.#data.readUInt32BE(this.#take(4));
  }

  u64(): bigint {
    return this.#data.readBigUInt64BE(this.#take(8));
  }

  bytes(size: number): Uint8Array {
    const start = this.#take(size);
    return new Uint8Array(this.#data.subarray(start, start + size));
  }

  sized(max: number): Uint8Array {
    return this.bytes(atMost(this.u16(), max, this.#what));
  }

  left(): number {
    return this.#data.length - this.#offset;
  }

  end(): void {
    if (this.left() === 0) return;
    const message = `${this.#what} is followed by ${this.left()} bytes that do not belong to it`;
    throw new TouchmarkError('tpm_structure_trailing', message);
  }

  #take(size: number): number {
    const start = this.#offset;
    if (size > this.#data.length - start) {
      const message = `${this.#what} is cut off: ${size} bytes wanted at offset ${start} of ${this.#data.length}`;
      throw new TouchmarkError('tpm_structure_truncated', message);
    }
    this.#offset += size;
    return start;
  }
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
