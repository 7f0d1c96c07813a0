import { createPublicKey } from 'node:crypto';
import { messageOf, TouchmarkError } from '../errors.js';
import { decodeBase64url } from './base64url.js';
import type { JsonObject, JsonValue } from './json.js';

const curveBytes: ReadonlyMap<JsonValue | undefined, number> = new Map([
  ['P-256', 32],
  ['P-384', 48],
  ['P-521', 66],
]);
const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];

/** The public members of a key as a JWK: `kty, crv, x, y` or `kty, n, e`, encoded as RFC 7518 section 6 asks. */
export function spkiToJwk(spki: Uint8Array): JsonObject {
  const { kty, crv, x, y, n, e } = createPublicKey({
    key: Buffer.from(spki),
    format: 'der',
    type: 'spki',
  }).export({ format: 'jwk' });
  if (kty === 'EC' && crv && x && y) return { kty, crv, x, y };
  if (kty === 'RSA' && n && e) return { kty, n, e };
  throw new TouchmarkError('key_unsupported', `a key of type ${kty} has no place in a bundle`);
}

/** Whether this is a kind of key that we know at all; other keys in a set are passed over (bundle section 4.2.1). */
export function isKnownJwk(jwk: JsonObject): boolean {
  return jwk['kty'] === 'RSA' || (jwk['kty'] === 'EC' && curveBytes.has(jwk['crv']));
}

/**
 * Reads the public key out of a JWK of a known kind into SubjectPublicKeyInfo.
 * @throws TouchmarkError `bundle_invalid` when a member is missing, badly encoded, private, or the point is off its curve
 */
export function jwkToSpki(jwk: JsonObject): Buffer {
  for (const member of privateMembers) {
    if (jwk[member] !== undefined) throw invalid(`holds the private member "${member}"`);
  }
  const key =
    jwk['kty'] === 'EC'
      ? { kty: 'EC', crv: String(jwk['crv']), ...coordinates(jwk) }
      : { kty: 'RSA', n: unsigned(jwk, 'n'), e: unsigned(jwk, 'e') };
  try {
    return createPublicKey({ key, format: 'jwk' }).export({ format: 'der', type: 'spki' });
  } catch (cause) {
    throw invalid(`was not accepted: ${messageOf(cause)}`);
  }
}

function coordinates(jwk: JsonObject): { x: string; y: string } {
  const width = curveBytes.get(jwk['crv']);
  const read = (name: string) => {
    const value = jwk[name];
    if (typeof value !== 'string' || decodeBase64url(value)?.length !== width) {
      throw invalid(`has no ${name} coordinate of ${width} bytes`);
    }
    return value;
  };
  return { x: read('x'), y: read('y') };
}

/** Base64urlUInt: no leading zero octets. */
function unsigned(jwk: JsonObject, name: string): string {
  const value = jwk[name];
  const bytes = typeof value === 'string' ? decodeBase64url(value) : undefined;
  if (typeof value !== 'string' || !bytes?.length || bytes[0] === 0 || bytes.length > 2048) {
    throw invalid(`has no well-formed member "${name}"`);
  }
  return value;
}

function invalid(why: string): TouchmarkError {
  return new TouchmarkError('bundle_invalid', `a key of the set ${why}`);
}
