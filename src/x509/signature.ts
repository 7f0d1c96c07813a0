import { constants, type KeyObject, sign, verify } from 'node:crypto';
import { TouchmarkError } from '../errors.js';

interface SignatureScheme {
  readonly keyType: 'ec' | 'rsa' | 'ed25519';
  readonly hash: string | null;
  readonly pssSaltLength?: number;
}

const ecdsa = (hash: string): SignatureScheme => ({ keyType: 'ec', hash });
const rsa = (hash: string): SignatureScheme => ({ keyType: 'rsa', hash });
const pss = (hash: string, pssSaltLength: number): SignatureScheme => ({
  keyType: 'rsa',
  hash,
  pssSaltLength,
});

/**
 * Every signature algorithm that is believed, by its whole AlgorithmIdentifier in hex. Matching all of it leaves no room
 * for odd parameters; SHA-1 and MD5 are not here. PSS: MGF1 with the same hash, salt as long as the hash (RFC 4055).
 */
const schemes: ReadonlyMap<string, SignatureScheme> = new Map([
  ['300a06082a8648ce3d040302', ecdsa('sha256')],
  ['300a06082a8648ce3d040303', ecdsa('sha384')],
  ['300a06082a8648ce3d040304', ecdsa('sha512')],
  // With parameters of NULL, which RFC 5758 forbids and a root of Intel's has all the same.
  ['300c06082a8648ce3d0403020500', ecdsa('sha256')],
  ['300c06082a8648ce3d0403030500', ecdsa('sha384')],
  ['300d06092a864886f70d01010b0500', rsa('sha256')],
  ['300d06092a864886f70d01010c0500', rsa('sha384')],
  ['300d06092a864886f70d01010d0500', rsa('sha512')],
  [pssIdentifier(1, '20'), pss('sha256', 32)],
  [pssIdentifier(2, '30'), pss('sha384', 48)],
  [pssIdentifier(3, '40'), pss('sha512', 64)],
  ['300506032b6570', { keyType: 'ed25519', hash: null }],
]);

/** How we sign with a key: P-384 with SHA-384, everything else with SHA-256. */
export interface SigningScheme {
  readonly hash: 'sha256' | 'sha384';
  /** AlgorithmIdentifier, DER. */
  readonly identifier: Uint8Array;
}

const ES256: SigningScheme = { hash: 'sha256', identifier: Buffer.from('300a06082a8648ce3d040302', 'hex') };
const ES384: SigningScheme = { hash: 'sha384', identifier: Buffer.from('300a06082a8648ce3d040303', 'hex') };
const RS256: SigningScheme = {
  hash: 'sha256',
  identifier: Buffer.from('300d06092a864886f70d01010b0500', 'hex'),
};

const signingSchemes = new WeakMap<KeyObject, SigningScheme>();

/** Remembered by key, since asking OpenSSL for a key's details costs as much as hashing a certificate. */
export function signingSchemeOf(key: KeyObject): SigningScheme {
  const known = signingSchemes.get(key);
  if (known !== undefined) return known;
  const scheme = chooseScheme(key);
  signingSchemes.set(key, scheme);
  return scheme;
}

export function signDer(data: Uint8Array, key: KeyObject): Buffer {
  return sign(signingSchemeOf(key).hash, data, key);
}

/**
 * Checks a signature made under an AlgorithmIdentifier. The key must be of the algorithm's type.
 * @returns false also for an algorithm that is not believed
 */
export function verifyDer(
  algorithm: Uint8Array,
  data: Uint8Array,
  key: KeyObject,
  signature: Uint8Array,
): boolean {
  const scheme = schemes.get(
    Buffer.from(algorithm.buffer, algorithm.byteOffset, algorithm.length).toString('hex'),
  );
  if (scheme === undefined || key.asymmetricKeyType !== scheme.keyType) return false;
  if (scheme.pssSaltLength === undefined) return verify(scheme.hash, data, key, signature);
  const padding = constants.RSA_PKCS1_PSS_PADDING;
  return verify(scheme.hash, data, { key, padding, saltLength: scheme.pssSaltLength }, signature);
}

function chooseScheme(key: KeyObject): SigningScheme {
  if (key.asymmetricKeyType === 'rsa') return RS256;
  const curve = key.asymmetricKeyDetails?.namedCurve;
  if (curve === 'prime256v1') return ES256;
  if (curve === 'secp384r1') return ES384;
  throw new TouchmarkError('key_unsupported', 'the signing key is not RSA, P-256 or P-384');
}

/** RSASSA-PSS-params with one hash throughout; `hash` is the last arc of the SHA-2 identifier. */
function pssIdentifier(hash: 1 | 2 | 3, salt: string): string {
  const hashId = `300d060960864801650304020${hash}0500`;
  return `304106092a864886f70d01010a3034a00f${hashId}a11c301a06092a864886f70d010108${hashId}a2030201${salt}`;
}
