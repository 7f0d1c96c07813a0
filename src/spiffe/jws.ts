import { constants, type KeyObject, sign, verify } from 'node:crypto';
import { TouchmarkError } from '../errors.js';

/** The algorithms of JWT-SVIDs (JWT-SVID section 2.1). */
export const jwsAlgorithms = [
  'RS256',
  'RS384',
  'RS512',
  'ES256',
  'ES384',
  'ES512',
  'PS256',
  'PS384',
  'PS512',
] as const;
export type JwsAlgorithm = (typeof jwsAlgorithms)[number];

export function isJwsAlgorithm(value: unknown): value is JwsAlgorithm {
  return jwsAlgorithms.some((algorithm) => algorithm === value);
}

const curves = { ES256: 'prime256v1', ES384: 'secp384r1', ES512: 'secp521r1' } as const;
const MIN_RSA_BITS = 2048;
/** Beyond it a single signature check would take longer than a whole request should. */
const MAX_RSA_BITS = 8192;
/** With an exponent of 1 anybody can sign; beyond 32 bits checks take long. */
const [MIN_EXPONENT, MAX_EXPONENT] = [3n, 2n ** 32n];

/** The algorithm that we sign with under a key: ES256, ES384 or RS256. */
export function algorithmOf(key: KeyObject): JwsAlgorithm {
  const { namedCurve } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === 'rsa') return 'RS256';
  if (namedCurve === 'prime256v1') return 'ES256';
  if (namedCurve === 'secp384r1') return 'ES384';
  throw new TouchmarkError('key_unsupported', 'the token key is not RSA, P-256 or P-384');
}

/** Whether a key may be used under an algorithm at all (RFC 7518 sections 3.3-3.5): type, curve, size, exponent. */
export function keyFits(algorithm: JwsAlgorithm, key: KeyObject): boolean {
  const { namedCurve, modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  if (algorithm === 'ES256' || algorithm === 'ES384' || algorithm === 'ES512') {
    return key.asymmetricKeyType === 'ec' && namedCurve === curves[algorithm];
  }
  if (key.asymmetricKeyType !== 'rsa' || publicExponent < MIN_EXPONENT || publicExponent > MAX_EXPONENT)
    return false;
  return modulusLength >= MIN_RSA_BITS && modulusLength <= MAX_RSA_BITS;
}

export function jwsSign(algorithm: JwsAlgorithm, input: string, key: KeyObject): Buffer {
  return sign(hashOf(algorithm), Buffer.from(input, 'ascii'), { key, ...encodingOf(algorithm) });
}

/** Checks a signature; ECDSA as r and s of fixed width, PSS with a salt as long as the hash. The key must fit (`keyFits`). */
export function jwsVerify(
  algorithm: JwsAlgorithm,
  input: string,
  key: KeyObject,
  signature: Uint8Array,
): boolean {
  return verify(hashOf(algorithm), Buffer.from(input, 'ascii'), { key, ...encodingOf(algorithm) }, signature);
}

function hashOf(algorithm: JwsAlgorithm): string {
  return `sha${algorithm.slice(2)}`;
}

function encodingOf(algorithm: JwsAlgorithm) {
  if (algorithm.startsWith('ES')) return { dsaEncoding: 'ieee-p1363' as const };
  if (algorithm.startsWith('RS')) return { padding: constants.RSA_PKCS1_PADDING };
  return { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
}
