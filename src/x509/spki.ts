import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { messageOf, TouchmarkError } from '../errors.js';
import { enter, enterWhole, expect, expectEnd, readBits, readUnsigned, tag } from './der.js';
import { oidHex } from './oid.js';

export type KeyKind = 'ec-p256' | 'ec-p384' | 'rsa';

/** What a SubjectPublicKeyInfo says, read without OpenSSL. */
export interface PublicKeyInfo {
  readonly kind: KeyKind;
  /** Size of the curve or of the modulus. */
  readonly bits: number;
  /** Content of the subjectPublicKey BIT STRING: what key identifiers are made from. */
  readonly keyBits: Uint8Array;
}

const MIN_RSA_BITS = 2048;
const MAX_RSA_BITS = 4096;
const POINT = { 'ec-p256': 65, 'ec-p384': 97 } as const;

/**
 * Reads a SubjectPublicKeyInfo of a kind that SVIDs may use: P-256, P-384 (uncompressed), RSA-2048 to RSA-4096.
 * Does not establish that an EC point lies on its curve; `importSpki` does.
 * @throws TouchmarkError `der_invalid`, `key_unsupported`
 */
export function readSpki(der: Uint8Array): PublicKeyInfo {
  const spki = enterWhole(der, tag.sequence, 'the public key');
  const algorithm = enter(spki, tag.sequence, 'the key algorithm');
  const name = hex(expect(algorithm, tag.oid, 'the key algorithm').content);
  if (name === oidHex.ecPublicKey) {
    const curve = hex(expect(algorithm, tag.oid, 'the curve').content);
    expectEnd(algorithm, 'the key algorithm');
    const keyBits = readBits(spki, 'the public key');
    expectEnd(spki, 'the public key');
    return ecKey(curve, keyBits);
  }
  if (name !== oidHex.rsaEncryption) throw unsupported('is neither RSA nor an elliptic-curve key');
  expect(algorithm, tag.null, 'the parameters of an RSA key');
  expectEnd(algorithm, 'the key algorithm');
  const keyBits = readBits(spki, 'the public key');
  expectEnd(spki, 'the public key');
  return rsaKey(keyBits);
}

/**
 * What stands before the coordinates of a P-256 key in every SubjectPublicKeyInfo that `readSpki` accepts: DER leaves no choice.
 */
const P256_START = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex');
const P256_BYTES = P256_START.length + 64;

/**
 * Node 20's OpenSSL 3.0 tries one decoder after the other on a SubjectPublicKeyInfo: 100 us, against 54 for the same two
 * coordinates as a JWK (with the check of a signature 154 against 123). From OpenSSL 3.5 on the plain way is the faster one, and
 * for P-384 it always was.
 */
const slowDecoders = process.versions.openssl.startsWith('3.0.');

/**
 * Makes OpenSSL's object of a key that `readSpki` accepts; the dearest step of issuing on Node 20, so once per key. Either way
 * refuses a point that is not on its curve and coordinates beyond the field.
 * @throws TouchmarkError `key_unsupported`
 */
export function importSpki(der: Uint8Array): KeyObject {
  const bytes = Buffer.from(der.buffer, der.byteOffset, der.length);
  try {
    return slowDecoders && isP256(bytes) ? importP256(bytes) : importDer(bytes);
  } catch (cause) {
    throw unsupported(`was not accepted by OpenSSL: ${messageOf(cause)}`);
  }
}

function isP256(der: Buffer): boolean {
  return (
    der.length === P256_BYTES && der.compare(P256_START, 0, P256_START.length, 0, P256_START.length) === 0
  );
}

/** Exported for its test: every version of Node must import the same key by either way. */
export function importP256(der: Buffer): KeyObject {
  const x = der.toString('base64url', P256_START.length, P256_START.length + 32);
  const y = der.toString('base64url', P256_START.length + 32);
  return createPublicKey({ key: { kty: 'EC', crv: 'P-256', x, y }, format: 'jwk' });
}

function importDer(der: Buffer): KeyObject {
  return createPublicKey({ key: der, format: 'der', type: 'spki' });
}

/** Subject key identifier, RFC 7093 section 2 method 1: the leftmost 160 bits of SHA-256 over the key's bits. */
export function keyIdentifier(keyBits: Uint8Array): Uint8Array {
  return createHash('sha256').update(keyBits).digest().subarray(0, 20);
}

export function exportSpki(key: KeyObject): Buffer {
  const half = key.type === 'private' ? createPublicKey(key) : key;
  return half.export({ format: 'der', type: 'spki' });
}

function ecKey(curve: string, keyBits: Uint8Array): PublicKeyInfo {
  const kind = curve === oidHex.p256 ? 'ec-p256' : curve === oidHex.p384 ? 'ec-p384' : undefined;
  if (kind === undefined) throw unsupported('is on another curve than P-256 and P-384');
  if (keyBits.length !== POINT[kind] || keyBits[0] !== 4) throw unsupported('is not an uncompressed point');
  return { kind, bits: kind === 'ec-p256' ? 256 : 384, keyBits };
}

function rsaKey(keyBits: Uint8Array): PublicKeyInfo {
  const key = enterWhole(keyBits, tag.sequence, 'the RSA key');
  const modulus = readUnsigned(key, 'the modulus');
  const exponent = readUnsigned(key, 'the exponent');
  expectEnd(key, 'the RSA key');
  const bits = modulus.length * 8 - Math.clz32(modulus[0] ?? 0) + 24;
  if (bits < MIN_RSA_BITS || bits > MAX_RSA_BITS) {
    throw unsupported(`is RSA of ${bits} bits, outside ${MIN_RSA_BITS} to ${MAX_RSA_BITS}`);
  }
  const last = exponent.at(-1) ?? 0;
  const tooSmall = exponent.length === 1 && last < 3;
  if (tooSmall || last % 2 === 0 || exponent.length > 4)
    throw unsupported('is RSA with an unusable exponent');
  return { kind: 'rsa', bits, keyBits };
}

function unsupported(why: string): TouchmarkError {
  return new TouchmarkError('key_unsupported', `the public key ${why}`);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}
