import { TouchmarkError } from '../errors.js';

/** The DER tags that certificates use (X.690 section 8.1.2); `context` makes [n]. */
export const tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  sequence: 0x30,
  set: 0x31,
  printableString: 0x13,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  /** [n] holding other elements */
  constructed: (n: number): number => 0xa0 | n,
  /** [n] IMPLICIT over a plain value */
  primitive: (n: number): number => 0x80 | n,
} as const;

/** One element: its tag, its content octets, and all of it as it was written. Views on the bytes read, not copies. */
export interface DerElement {
  readonly tag: number;
  readonly content: Uint8Array;
  readonly raw: Uint8Array;
}

/** A position inside a run of elements. Moves forward only. */
export interface DerReader {
  readonly bytes: Uint8Array;
  readonly end: number;
  offset: number;
}

/** Composes one element out of its parts: `tlv(tag.sequence, a, b)`. */
export function tlv(tagByte: number, ...parts: readonly Uint8Array[]): Buffer {
  let length = 0;
  for (const part of parts) length += part.length;
  const header = headerLength(length);
  const out = Buffer.allocUnsafe(header + length);
  writeHeader(out, tagByte, length);
  let at = header;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export function sequence(...parts: readonly Uint8Array[]): Buffer {
  return tlv(tag.sequence, ...parts);
}

/** An object identifier from its dotted form. */
export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second, ...rest].flatMap(base128);
  return tlv(tag.oid, Uint8Array.from(bytes));
}

/** A non-negative INTEGER from its big-endian magnitude; leading zeros are dropped, a sign octet is added where needed. */
export function unsignedInteger(magnitude: Uint8Array): Buffer {
  let start = 0;
  while (start < magnitude.length - 1 && magnitude[start] === 0) start += 1;
  const body = magnitude.subarray(start);
  if (body.length === 0) return tlv(tag.integer, Uint8Array.of(0));
  return (body[0] ?? 0) >= 0x80 ? tlv(tag.integer, Uint8Array.of(0), body) : tlv(tag.integer, body);
}

/** A BIT STRING of whole octets. */
export function bitString(content: Uint8Array): Buffer {
  return tlv(tag.bitString, Uint8Array.of(0), content);
}

export function octetString(content: Uint8Array): Buffer {
  return tlv(tag.octetString, content);
}

/** A string. Only UTF8String may hold more than ASCII: cutting a wider character to a byte would turn it into another one. */
export function text(tagByte: number, value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8');
  if (tagByte !== tag.utf8String && bytes.some((byte) => byte >= 0x80)) {
    throw new TouchmarkError('der_invalid', `${JSON.stringify(value.slice(0, 100))} is not ASCII`);
  }
  return tlv(tagByte, bytes);
}

export const derNull: Uint8Array = Uint8Array.of(tag.null, 0);
export const derTrue: Uint8Array = Uint8Array.of(tag.boolean, 1, 0xff);

export function reader(bytes: Uint8Array): DerReader {
  return { bytes, end: bytes.length, offset: 0 };
}

export function atEnd(from: DerReader): boolean {
  return from.offset >= from.end;
}

/** The tag of the next element, undefined at the end. */
export function peekTag(from: DerReader): number | undefined {
  return from.offset < from.end ? from.bytes[from.offset] : undefined;
}

/**
 * Reads the next element. Definite, minimal lengths and one-octet tags only; never past the end.
 * @throws TouchmarkError `der_invalid`
 */
export function readElement(from: DerReader): DerElement {
  const { bytes, offset } = from;
  const length = readHeader(from);
  const start = from.offset;
  from.offset = start + length;
  return {
    tag: bytes[offset] ?? 0,
    content: bytes.subarray(start, from.offset),
    raw: bytes.subarray(offset, from.offset),
  };
}

/** Reads the next element, which must have this tag; `what` names it in the error. */
export function expect(from: DerReader, tagByte: number, what: string): DerElement {
  expectTag(from, tagByte, what);
  return readElement(from);
}

/** Reads the next element if it has this tag. */
export function readIf(from: DerReader, tagByte: number): DerElement | undefined {
  return peekTag(from) === tagByte ? readElement(from) : undefined;
}

/** Steps into the next element, which must have this tag. */
export function enter(from: DerReader, tagByte: number, what: string): DerReader {
  expectTag(from, tagByte, what);
  const length = readHeader(from);
  const inner = { bytes: from.bytes, end: from.offset + length, offset: from.offset };
  from.offset = inner.end;
  return inner;
}

/** Steps into bytes that must be exactly one element with this tag, nothing after it. */
export function enterWhole(bytes: Uint8Array, tagByte: number, what: string): DerReader {
  const outer = reader(bytes);
  const inner = enter(outer, tagByte, what);
  expectEnd(outer, what);
  return inner;
}

export function expectEnd(from: DerReader, what: string): void {
  if (!atEnd(from)) throw invalid(`has something after the end of ${what}`, from.offset);
}

/** The magnitude of a non-negative, minimally written INTEGER, without its sign octet. */
export function readUnsigned(from: DerReader, what: string): Uint8Array {
  const { content } = expect(from, tag.integer, what);
  const [first, second = 0x80] = content;
  if (first === undefined || first >= 0x80) throw invalid(`has an empty or negative integer as ${what}`, 0);
  if (first === 0 && second < 0x80) throw invalid(`has an integer with needless zeros as ${what}`, 0);
  return first === 0 && content.length > 1 ? content.subarray(1) : content;
}

/** A small non-negative INTEGER, at most 2^31 - 1. */
export function readSmall(from: DerReader, what: string): number {
  const magnitude = readUnsigned(from, what);
  const value = magnitude.length > 4 ? Number.POSITIVE_INFINITY : magnitude.reduce((n, b) => n * 256 + b, 0);
  if (value > 0x7fff_ffff) throw invalid(`has too large a number as ${what}`, 0);
  return value;
}

/** BOOLEAN DEFAULT FALSE: absent is false, and a written FALSE is not DER. */
export function readFlag(from: DerReader, what: string): boolean {
  const element = readIf(from, tag.boolean);
  if (element === undefined) return false;
  if (element.content.length !== 1 || element.content[0] !== 0xff) {
    throw invalid(`has a boolean other than TRUE as ${what}`, from.offset);
  }
  return true;
}

/** The octets of a BIT STRING without unused bits. */
export function readBits(from: DerReader, what: string): Uint8Array {
  const { content } = expect(from, tag.bitString, what);
  if (content[0] !== 0) throw invalid(`has a bit string that is not whole octets as ${what}`, from.offset);
  return content.subarray(1);
}

/** Splits certificates that were written one after the other, as the Workload API sends them; nothing may be left over. */
export function splitDer(bytes: Uint8Array, most = 1024): Uint8Array[] {
  const from = reader(bytes);
  const parts: Uint8Array[] = [];
  while (!atEnd(from)) {
    if (parts.length === most) throw invalid(`holds more than ${most} elements`, from.offset);
    parts.push(expect(from, tag.sequence, 'a certificate').raw);
  }
  return parts;
}

export function invalid(why: string, offset: number): TouchmarkError {
  return new TouchmarkError('der_invalid', `the DER ${why} (at byte ${offset})`);
}

function expectTag(from: DerReader, tagByte: number, what: string): void {
  const found = peekTag(from);
  if (found === tagByte) return;
  const seen = found === undefined ? 'nothing' : `tag 0x${found.toString(16).padStart(2, '0')}`;
  throw invalid(`has ${seen} where ${what} belongs`, from.offset);
}

/** Moves to the content of the next element and returns its length, which lies within the reader's end. */
function readHeader(from: DerReader): number {
  const { bytes, end, offset } = from;
  if (offset + 2 > end) throw invalid('ends inside an element', offset);
  if (((bytes[offset] ?? 0) & 0x1f) === 0x1f) throw invalid('has a tag of more than one octet', offset);
  const first = bytes[offset + 1] ?? 0;
  from.offset = offset + 2;
  const length = first < 0x80 ? first : readLongLength(from, first & 0x7f);
  if (from.offset + length > end) throw invalid('has an element that is longer than what is left', offset);
  return length;
}

function readLongLength(from: DerReader, count: number): number {
  const { bytes, end, offset } = from;
  if (count === 0 || count > 4) throw invalid('has an indefinite or huge length', offset);
  if (offset + count > end) throw invalid('ends inside a length', offset);
  let length = 0;
  for (let i = 0; i < count; i++) length = length * 256 + (bytes[offset + i] ?? 0);
  if (length < 0x80 || bytes[offset] === 0) throw invalid('has a length that is not minimal', offset);
  from.offset = offset + count;
  return length;
}

function headerLength(length: number): number {
  if (length < 0x80) return 2;
  if (length < 0x100) return 3;
  if (length < 0x1_0000) return 4;
  return length < 0x100_0000 ? 5 : 6;
}

function writeHeader(out: Buffer, tagByte: number, length: number): void {
  out[0] = tagByte;
  if (length < 0x80) {
    out[1] = length;
    return;
  }
  const count = headerLength(length) - 2;
  out[1] = 0x80 | count;
  out.writeUIntBE(length, 2, count);
}

function base128(value: number): number[] {
  const out = [value % 128];
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) {
    out.unshift((rest % 128) | 0x80);
  }
  return out;
}
