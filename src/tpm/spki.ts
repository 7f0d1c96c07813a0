import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { TouchmarkError } from '../errors.js';
import { bitString, derNull, oid, sequence, unsignedInteger } from '../x509/der.js';
import { type CurveName, curveByName, digest } from './algorithms.js';
import type { TpmPublic } from './public.js';
import { join, padded, u32 } from './writer.js';

/** A public key without any encoding around it, whether it came out of a TPMT_PUBLIC or out of a certificate. */
export type PlainKey =
  | { type: 'rsa'; modulus: Uint8Array; exponent: number }
  | { type: 'ecc'; curve: CurveName; x: Uint8Array; y: Uint8Array };

const rsaAlgorithm = sequence(oid('1.2.840.113549.1.1.1'), derNull);
const ecAlgorithm = (curve: string) => sequence(oid('1.2.840.10045.2.1'), oid(curve));
const ecAlgorithms: Record<CurveName, Uint8Array> = {
  'P-256': ecAlgorithm('1.2.840.10045.3.1.7'),
  'P-384': ecAlgorithm('1.3.132.0.34'),
  'P-521': ecAlgorithm('1.3.132.0.35'),
};

/** The key in a TPMT_PUBLIC, with the exponent that 0 stands for. */
export function plainKeyOf(key: TpmPublic): PlainKey {
  if (key.type === 'ecc') return { type: 'ecc', curve: key.curve, x: key.x, y: key.y };
  return { type: 'rsa', modulus: key.modulus, exponent: key.exponent === 0 ? 65537 : key.exponent };
}

/**
 * SubjectPublicKeyInfo (RFC 5280, 4.1.2.7) in its one encoding: rsaEncryption with NULL, or a named curve with the uncompressed
 * point. One key gives one encoding, however the source wrote it, so its hash can name the key.
 */
export function spkiOf(key: PlainKey): Uint8Array {
  if (key.type === 'rsa') {
    const numbers = sequence(unsignedInteger(key.modulus), unsignedInteger(u32(key.exponent)));
    return sequence(rsaAlgorithm, bitString(numbers));
  }
  const { size } = curveByName(key.curve);
  const point = join(Uint8Array.of(4), coordinate(key.x, size), coordinate(key.y, size));
  return sequence(ecAlgorithms[key.curve], bitString(point));
}

/** Lower-case hex SHA-256 of the SubjectPublicKeyInfo. */
export function spkiHash(key: PlainKey): string {
  return Buffer.from(digest('sha256', spkiOf(key))).toString('hex');
}

/** What names an endorsement key everywhere: lower-case hex SHA-256 of the SubjectPublicKeyInfo rebuilt out of its TPMT_PUBLIC. */
export function ekHash(key: TpmPublic): string {
  return spkiHash(plainKeyOf(key));
}

/**
 * The key for node:crypto; a point that is not on its curve is refused. Made from its numbers and not from DER, which OpenSSL's
 * decoders read two to twenty times more slowly.
 * @throws TouchmarkError `tpm_key_invalid`
 */
export function keyObjectOf(key: PlainKey): KeyObject {
  const jwk = jwkOf(key);
  try {
    return createPublicKey({ key: jwk, format: 'jwk' });
  } catch (cause) {
    throw new TouchmarkError('tpm_key_invalid', `the public key is not a valid ${describeKey(key)} key`, {
      cause,
    });
  }
}

function jwkOf(key: PlainKey): JsonWebKey {
  if (key.type === 'rsa')
    return { kty: 'RSA', n: base64url(key.modulus), e: base64url(unpadded(u32(key.exponent))) };
  const { size } = curveByName(key.curve);
  const [x, y] = [coordinate(key.x, size), coordinate(key.y, size)];
  return { kty: 'EC', crv: key.curve, x: base64url(x), y: base64url(y) };
}

/** `RSA-2048`, `P-256`: for messages. */
export function describeKey(key: PlainKey): string {
  return key.type === 'rsa' ? `RSA-${modulusBits(key.modulus)}` : key.curve;
}

/** Bits of an RSA modulus, leading zeros not counted. */
export function modulusBits(modulus: Uint8Array): number {
  const start = modulus.findIndex((byte) => byte !== 0);
  const first = modulus[start];
  return first === undefined ? 0 : (modulus.length - start) * 8 - (Math.clz32(first) - 24);
}

function coordinate(value: Uint8Array, size: number): Uint8Array {
  if (value.length > size) {
    const message = `a coordinate of ${value.length} bytes is too long for its curve`;
    throw new TouchmarkError('tpm_key_invalid', message);
  }
  return padded(value, size);
}

function unpadded(value: Uint8Array): Uint8Array {
  return value.subarray(
    Math.max(
      0,
      value.findIndex((octet) => octet !== 0),
    ),
  );
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}
