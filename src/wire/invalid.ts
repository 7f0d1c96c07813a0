import { TouchmarkError } from '../errors.js';

/** @returns `wire_invalid` that names the field as the proto file writes it */
export function invalidField(field: string, why: string, cause?: unknown): TouchmarkError {
  return new TouchmarkError('wire_invalid', `${field}: ${why}`, cause === undefined ? {} : { cause });
}

/** Reads with `read`, and names the field in what it throws. */
export function named<T>(field: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof TouchmarkError) throw invalidField(field, cause.message, cause);
    throw cause;
  }
}

export function atMost(field: string, list: readonly unknown[], most: number): void {
  if (list.length > most) throw invalidField(field, `${list.length} items are more than ${most}`);
}

/** An int64 that counts or tells a time: not below zero, and exact as a number. */
export function countOf(field: string, value: bigint): number {
  if (value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw invalidField(field, `${value} is below zero or above 2^53`);
  }
  return Number(value);
}

/** A copy of its own: bytes of a decoded message are views that would keep the whole message alive. */
export function ownBytes(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(bytes);
}
