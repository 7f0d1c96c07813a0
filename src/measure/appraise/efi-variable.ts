import { digest } from '../../tpm/algorithms.js';
import { asBuffer } from '../as-buffer.js';
import type { Digest } from '../policy/model.js';
import { digestText, hex } from './digest-text.js';

/** What UEFI_VARIABLE_DATA says. */
export interface EfiVariable {
  /** `8be4df61-93ca-11d2-aa0d-00e098032b8c` */
  readonly guid: string;
  readonly name: string;
  readonly value: Uint8Array;
}

export const efiGuid = {
  global: '8be4df61-93ca-11d2-aa0d-00e098032b8c',
  imageSecurity: 'd719b2cb-3d3a-4596-a3bc-dad00e67656f',
  shim: '605dab50-e046-4300-abb6-3dd810dd8b23',
  x509: 'a5c059a1-94e4-4aa7-87b5-ab155c2bf072',
  sha256: 'c1c41626-504c-4092-aca9-41f936934328',
} as const;

const HEADER = 32;
const MAX_NAME = 512;

/** Undefined when the lengths inside do not fit; shim's certificate is logged with one byte more than it has. */
export function readEfiVariable(data: Uint8Array): EfiVariable | undefined {
  if (data.length < HEADER) return undefined;
  const bytes = asBuffer(data);
  const [characters, size] = [bytes.readBigUInt64LE(16), bytes.readBigUInt64LE(24)];
  if (characters > BigInt(MAX_NAME) || size > BigInt(bytes.length)) return undefined;
  const start = HEADER + 2 * Number(characters);
  const end = start + Number(size);
  const name = bytes.toString('utf16le', HEADER, Math.min(start, bytes.length));
  if (end !== bytes.length && !(name === 'Shim' && end + 1 === bytes.length)) return undefined;
  return { guid: guidText(bytes.subarray(0, 16)), name, value: bytes.subarray(start, end) };
}

/** One entry of a signature database, by every digest that a policy may call it by. */
export interface SignatureEntry {
  /** The signature data without its owner: two are the same entry when this is. */
  readonly data: string;
  /** SHA-256 of the data; for an entry that is a SHA-256 of an image, that one first. */
  readonly names: readonly Digest[];
}

/** Reads EFI_SIGNATURE_LISTs; undefined when they are malformed. Owners are left out: they prove nothing. */
export function readSignatureLists(value: Uint8Array): SignatureEntry[] | undefined {
  const bytes = asBuffer(value);
  const entries: SignatureEntry[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (bytes.length - at < 28) return undefined;
    const type = guidText(bytes.subarray(at, at + 16));
    const [list, header] = [bytes.readUInt32LE(at + 16), bytes.readUInt32LE(at + 20)];
    const size = bytes.readUInt32LE(at + 24);
    const body = list - 28 - header;
    if (list > bytes.length - at || body < 0 || size <= 16 || body % size !== 0) return undefined;
    for (let entry = at + 28 + header; entry < at + list; entry += size) {
      entries.push(signatureEntry(type, bytes.subarray(entry + 16, entry + size)));
    }
    at += list;
  }
  return entries;
}

/** EFI_SIGNATURE_DATA as an authority event shows it: owner and data. */
export function authorityData(value: Uint8Array): Uint8Array {
  return value.subarray(16);
}

export function signatureNames(data: Uint8Array): Digest[] {
  return [digestText('sha256', digest('sha256', data))];
}

function signatureEntry(type: string, data: Uint8Array): SignatureEntry {
  const names = signatureNames(data);
  const own = type === efiGuid.sha256 && data.length === 32 ? [digestText('sha256', data)] : [];
  return { data: hex(data), names: [...own, ...names] };
}

/** The first three parts are little-endian. */
function guidText(bytes: Buffer): string {
  const number = (value: number, digits: number) => value.toString(16).padStart(digits, '0');
  const [first, second, third] = [bytes.readUInt32LE(0), bytes.readUInt16LE(4), bytes.readUInt16LE(6)];
  const rest = `${bytes.toString('hex', 8, 10)}-${bytes.toString('hex', 10, 16)}`;
  return `${number(first, 8)}-${number(second, 4)}-${number(third, 4)}-${rest}`;
}
