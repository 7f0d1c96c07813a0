import { asBuffer } from './as-buffer.js';

const plain = /^[\x20-\x5b\x5d-\x7e]*$/;
/** Control and format characters (also those that turn the direction), separators of lines, and the escape itself. */
const special = /[\p{C}\p{Zl}\p{Zp}\\]/gu;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * A path for people, on one line: UTF-8 as it is, everything that could drive a terminal or fake a line as `\xNN`,
 * and all bytes above ASCII so if the whole is not UTF-8. Two different paths never have the same text.
 */
export function pathText(bytes: Uint8Array): string {
  const raw = asBuffer(bytes);
  const latin1 = raw.toString('latin1');
  if (plain.test(latin1)) return latin1;
  try {
    return utf8.decode(raw).replace(special, escaped);
  } catch {
    return latin1.replace(/[^\x20-\x5b\x5d-\x7e]/g, (byte) =>
      byte === '\\' ? '\\\\' : hexByte(byte.charCodeAt(0)),
    );
  }
}

const BRIEF = 300;

/**
 * The beginning of what may be a megabyte: cut before it is made text, between two characters of UTF-8. For looking at only:
 * two texts that begin alike are alike.
 */
export function briefText(bytes: Uint8Array): string {
  if (bytes.length <= BRIEF) return pathText(bytes);
  let end = BRIEF;
  while (end > BRIEF - 4 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return `${pathText(bytes.subarray(0, end))}…`;
}

function escaped(character: string): string {
  if (character === '\\') return '\\\\';
  const code = character.codePointAt(0) ?? 0;
  // From 0x80 on `\x` is a byte that is not UTF-8.
  return code < 0x80 ? hexByte(code) : `\\u{${code.toString(16)}}`;
}

function hexByte(code: number): string {
  return `\\x${code.toString(16).padStart(2, '0')}`;
}
