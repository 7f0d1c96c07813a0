import { TouchmarkError } from '../errors.js';

/** One element: its tag, its content octets, and all of it as it was written. Views on the bytes read, not copies. */
export interface LenientElement {
  tag: number;
  content: Uint8Array;
  raw: Uint8Array;
}

/** Told about encodings that DER forbids and chips carry all the same. */
export type NoteDeviation = (code: 'der_not_minimal') => void;

const MAX_ELEMENTS = 256;

/**
 * Splits bytes into elements as TPM vendors write them: lengths need not be minimal, numbers may be negative or padded. Nothing else is
 * forgiven: definite lengths, one-octet tags, nothing beyond the end. What is compared or hashed is always the bytes as written.
 */
export function elementsOf(bytes: Uint8Array, note?: NoteDeviation): LenientElement[] {
  const found: LenientElement[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    if (found.length === MAX_ELEMENTS) throw malformed(`has more than ${MAX_ELEMENTS} elements in a row`);
    const element = elementAt(bytes, offset, note);
    found.push(element);
    offset += element.raw.length;
  }
  return found;
}

/** The first element of bytes that may go on behind it, as NV content does. */
export function elementAt(bytes: Uint8Array, offset: number, note?: NoteDeviation): LenientElement {
  const tag = bytes[offset];
  const first = bytes[offset + 1];
  if (tag === undefined || first === undefined) throw malformed('ends inside an element');
  if ((tag & 0x1f) === 0x1f) throw malformed('has a tag of more than one octet');
  const [length, start] = first < 0x80 ? [first, offset + 2] : longLength(bytes, offset + 1, note);
  if (length > bytes.length - start) throw malformed('has an element that is longer than what is left');
  const end = start + length;
  return { tag, content: bytes.subarray(start, end), raw: bytes.subarray(offset, end) };
}

/** The elements inside bytes that are exactly one element with this tag. */
export function elementsInside(
  bytes: Uint8Array,
  tag: number,
  what: string,
  note?: NoteDeviation,
): LenientElement[] {
  const [only, more] = elementsOf(bytes, note);
  if (!only || more) throw malformed(`has something else than one element as ${what}`);
  return insideOf(only, tag, what, note);
}

/** The elements inside an element that must have this tag. */
export function insideOf(
  element: LenientElement | undefined,
  tag: number,
  what: string,
  note?: NoteDeviation,
): LenientElement[] {
  return elementsOf(contentOf(element, tag, what), note);
}

/** The content of an element that must have this tag. */
export function contentOf(element: LenientElement | undefined, tag: number, what: string): Uint8Array {
  if (element?.tag === tag) return element.content;
  throw malformed(`has ${element ? `tag 0x${element.tag.toString(16)}` : 'nothing'} where ${what} belongs`);
}

/** Octets of a BIT STRING; unused bits must be zero in number unless `mayBePartial`. */
export function bitsOf(element: LenientElement | undefined, what: string, mayBePartial = false): Uint8Array {
  const content = contentOf(element, 0x03, what);
  const unused = content[0];
  if (unused === undefined || unused > 7 || (unused !== 0 && !mayBePartial)) {
    throw malformed(`has a bit string that is not whole octets as ${what}`);
  }
  return content.subarray(1);
}

export function malformed(why: string): TouchmarkError {
  return new TouchmarkError('ek_certificate_invalid', `the certificate ${why}`);
}

function longLength(bytes: Uint8Array, at: number, note?: NoteDeviation): [length: number, start: number] {
  const count = (bytes[at] ?? 0) & 0x7f;
  if (count === 0 || count > 4) throw malformed('has an indefinite or huge length');
  const octets = bytes.subarray(at + 1, at + 1 + count);
  if (octets.length < count) throw malformed('ends inside a length');
  const length = octets.reduce((sum, octet) => sum * 256 + octet, 0);
  if (length < 0x80 || octets[0] === 0) note?.('der_not_minimal');
  return [length, at + 1 + count];
}
