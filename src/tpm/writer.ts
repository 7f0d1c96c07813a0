/** Builds the big-endian structures of TPM 2.0 Part 2 out of parts: `join(u16(1), sized(name))`. */
export function join(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

export function u8(value: number): Uint8Array {
  return Uint8Array.of(value);
}

export function u16(value: number): Uint8Array {
  const out = Buffer.alloc(2);
  out.writeUInt16BE(value);
  return out;
}

export function u32(value: number): Uint8Array {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value);
  return out;
}

export function u64(value: bigint): Uint8Array {
  const out = Buffer.alloc(8);
  out.writeBigUInt64BE(value);
  return out;
}

/** A TPM2B: 16-bit size, then the bytes. */
export function sized(content: Uint8Array): Uint8Array {
  return join(u16(content.length), content);
}

/** Left-pads an unsigned big-endian number to `size` bytes; a longer one loses only leading zeros. */
export function padded(value: Uint8Array, size: number): Uint8Array {
  let start = 0;
  while (start < value.length - size && value[start] === 0) start += 1;
  const trimmed = value.subarray(start);
  if (trimmed.length > size)
    throw new RangeError(`a number of ${trimmed.length} bytes does not fit in ${size}`);
  const out = new Uint8Array(size);
  out.set(trimmed, size - trimmed.length);
  return out;
}
