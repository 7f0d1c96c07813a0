import { hash } from 'node:crypto';
import { TouchmarkError } from '../errors.js';

/** TPM_ALG_ID values (TCG Algorithm Registry) that this house understands. */
export const alg = {
  rsa: 0x0001,
  sha1: 0x0004,
  aes: 0x0006,
  sha256: 0x000b,
  sha384: 0x000c,
  sha512: 0x000d,
  null: 0x0010,
  rsassa: 0x0014,
  rsapss: 0x0016,
  ecdsa: 0x0018,
  ecc: 0x0023,
  cfb: 0x0043,
} as const;

export type HashName = 'sha1' | 'sha256' | 'sha384' | 'sha512';
export type CurveName = 'P-256' | 'P-384' | 'P-521';

interface HashRow {
  name: HashName;
  id: number;
  /** Digest size in bytes. */
  size: number;
}

interface CurveRow {
  name: CurveName;
  /** TPM_ECC_CURVE. */
  id: number;
  /** Size of one coordinate in bytes. */
  size: number;
  /** What OpenSSL, and so node:crypto, calls it. */
  openssl: string;
}

const hashes: readonly HashRow[] = [
  { name: 'sha1', id: alg.sha1, size: 20 },
  { name: 'sha256', id: alg.sha256, size: 32 },
  { name: 'sha384', id: alg.sha384, size: 48 },
  { name: 'sha512', id: alg.sha512, size: 64 },
];

const curves: readonly CurveRow[] = [
  { name: 'P-256', id: 0x0003, size: 32, openssl: 'prime256v1' },
  { name: 'P-384', id: 0x0004, size: 48, openssl: 'secp384r1' },
  { name: 'P-521', id: 0x0005, size: 66, openssl: 'secp521r1' },
];

const hashesById = new Map(hashes.map((row) => [row.id, row]));
const hashesByName = new Map<string, HashRow>(hashes.map((row) => [row.name, row]));
const curvesById = new Map(curves.map((row) => [row.id, row]));
const curvesByName = new Map(curves.map((row) => [row.name, row]));

/** The hash that a TPM_ALG_ID names. */
export function hashById(id: number): HashRow {
  return hashesById.get(id) ?? unsupported(`hash algorithm ${hex16(id)}`);
}

/** The hash that a bank or scheme is called by, such as `sha256`. */
export function hashByName(name: string): HashRow {
  return hashesByName.get(name) ?? unsupported(`hash algorithm ${JSON.stringify(name)}`);
}

/** Whether a text is the name of a hash, and so of a PCR bank, that is understood. */
export function isHashName(name: string): name is HashName {
  return hashesByName.has(name);
}

export function curveById(id: number): CurveRow {
  return curvesById.get(id) ?? unsupported(`curve ${hex16(id)}`);
}

export function curveByName(name: CurveName): CurveRow {
  return curvesByName.get(name) ?? unsupported(`curve ${JSON.stringify(name)}`);
}

/** Parts are joined here, which is what most hashes are of: nothing else runs while one is made. */
const joined = Buffer.alloc(4096);

/** Hashes the parts one after another. */
export function digest(name: HashName, ...parts: readonly Uint8Array[]): Uint8Array {
  const [only] = parts;
  // A digest that comes as text costs a third of one that comes as a buffer.
  const text = hash(name, parts.length === 1 && only ? only : join(parts), 'binary');
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  if (length > joined.length) return Buffer.concat(parts);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined.subarray(0, length);
}

export function hex16(value: number): string {
  return `0x${value.toString(16).padStart(4, '0')}`;
}

function unsupported(what: string): never {
  throw new TouchmarkError('tpm_algorithm_unsupported', `${what} is not supported`);
}
