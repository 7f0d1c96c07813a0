import { asBuffer } from '../as-buffer.js';
import type { Digest } from '../policy/model.js';

/** A digest as policies write it: `sha256:<hex>`. */
export function digestText(algorithm: string, bytes: Uint8Array): Digest {
  return `${algorithm}:${hex(bytes)}`;
}

export function hex(bytes: Uint8Array): string {
  return asBuffer(bytes).toString('hex');
}

/** One character per byte: the shortest text that can be a key. */
export function latin1(bytes: Uint8Array): string {
  return asBuffer(bytes).toString('latin1');
}

/** Without the NULs at its end: a pattern for them looks at a long run once for every NUL in it. */
export function withoutNuls(text: string): string {
  let end = text.length;
  while (end > 0 && text.charCodeAt(end - 1) === 0) end--;
  return text.slice(0, end);
}

/** A text out of a log for a reason: bounded, on one line. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 300 ? `${text.slice(0, 300)}…` : text);
}
