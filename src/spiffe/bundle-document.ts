import { messageOf, TouchmarkError } from '../errors.js';
import { readCertificate } from '../x509/read-certificate.js';
import { decodeBase64 } from './base64url.js';
import { type Bundle, defaultRefreshHint, type JwtAuthority, type X509Authority } from './bundle.js';
import type { TrustDomain } from './id.js';
import { isJsonObject, type JsonObject, type JsonValue, parseJsonObject, writeJson } from './json.js';
import { isKnownJwk, jwkToSpki, spkiToJwk } from './jwk.js';

const MAX_DOCUMENT_BYTES = 4 * 1024 * 1024;
const MAX_KEYS = 1024;
const MAX_SEQUENCE = 2n ** 64n - 1n;
const MAX_REFRESH_HINT = 2n ** 31n - 1n;

/**
 * Reads a SPIFFE bundle document (Trust Domain and Bundle section 4). The trust domain is the caller's to know: a bundle does not
 * name it. Unknown kinds of key and use are passed over; what is known must be right. A document without usable keys is an
 * empty bundle, which verifies nothing.
 * @throws TouchmarkError `bundle_invalid`
 */
export function readBundleDocument(trustDomain: TrustDomain, document: string | Uint8Array): Bundle {
  return bundleFromJson(trustDomain, parseDocument(document));
}

/** Writes what the bundle endpoint serves: only known keys, one certificate for each `x5c`, integer literals (decision D-16). */
export function writeBundleDocument(bundle: Bundle): string {
  return writeJson({
    keys: [...bundle.x509Authorities.map(x509Jwk), ...bundle.jwtAuthorities.map(jwtJwk)],
    spiffe_sequence: bundle.sequence,
    spiffe_refresh_hint: bundle.refreshHint > 0 ? bundle.refreshHint : defaultRefreshHint,
  });
}

/** The JWK set that the Workload API hands out for JWT-SVIDs: no `use`, nothing of SPIFFE's own (decision D-7). */
export function writeJwtKeySet(bundle: Bundle): string {
  return writeJson({
    keys: bundle.jwtAuthorities.map(({ keyId, spki }) => ({ ...spkiToJwk(spki), kid: keyId })),
  });
}

/** Reads a JWK set of JWT keys; keys with another `use` than `jwt-svid` are passed over. */
export function readJwtKeySet(trustDomain: TrustDomain, document: string | Uint8Array): Bundle {
  const jwks = keysOf(parseDocument(document)).filter((jwk) => (jwk['use'] ?? 'jwt-svid') === 'jwt-svid');
  const jwtAuthorities = readJwtKeys(jwks.filter(isKnownJwk));
  return { trustDomain, x509Authorities: [], jwtAuthorities, refreshHint: 0, sequence: 0n };
}

/** A bundle out of an object that `parseJsonObject` gave with `bigIntegers`. */
export function bundleFromJson(trustDomain: TrustDomain, document: JsonObject): Bundle {
  const known = keysOf(document).filter(isKnownJwk);
  const x509Authorities = known.filter((jwk) => jwk['use'] === 'x509-svid').flatMap(readX509Key);
  return {
    trustDomain,
    x509Authorities,
    jwtAuthorities: readJwtKeys(known.filter((jwk) => jwk['use'] === 'jwt-svid')),
    refreshHint: readRefreshHint(document['spiffe_refresh_hint']),
    sequence: readSequence(document['spiffe_sequence']),
  };
}

function parseDocument(document: string | Uint8Array): JsonObject {
  try {
    return parseJsonObject(document, { maxLength: MAX_DOCUMENT_BYTES, bigIntegers: true });
  } catch (cause) {
    throw new TouchmarkError('bundle_invalid', `the bundle cannot be read: ${messageOf(cause)}`, { cause });
  }
}

function keysOf(document: JsonObject): JsonObject[] {
  const { keys } = document;
  if (!Array.isArray(keys)) throw invalid('has no list "keys"');
  if (keys.length > MAX_KEYS) throw invalid(`has more than ${MAX_KEYS} keys`);
  return keys.map((jwk) => {
    if (!isJsonObject(jwk)) throw invalid('has a key that is not an object');
    return jwk;
  });
}

/** Only the first certificate counts (X509-SVID section 6.2); where the JWK repeats its key, it must be the same one. */
function readX509Key(jwk: JsonObject): X509Authority[] {
  const { x5c } = jwk;
  if (x5c === undefined || (Array.isArray(x5c) && x5c.length === 0)) return [];
  const [first] = Array.isArray(x5c) ? x5c : [];
  const der = typeof first === 'string' ? decodeBase64(first) : undefined;
  if (der === undefined) throw invalid('has an "x5c" that is not a list of padded base64');
  let spki: Uint8Array;
  try {
    spki = readCertificate(der).spki;
  } catch (cause) {
    throw new TouchmarkError('bundle_invalid', `the bundle has a bad certificate: ${messageOf(cause)}`, {
      cause,
    });
  }
  const repeatsKey = jwk['x'] !== undefined || jwk['n'] !== undefined;
  if (repeatsKey && !jwkToSpki(jwk).equals(spki))
    throw invalid('has a certificate of another key than its JWK');
  return [{ der, tainted: false }];
}

function readJwtKeys(jwks: readonly JsonObject[]): JwtAuthority[] {
  const seen = new Set<string>();
  return jwks.map((jwk) => {
    const { kid } = jwk;
    if (typeof kid !== 'string' || kid === '') throw invalid('has a JWT key without "kid"');
    if (seen.has(kid)) throw invalid(`has the key ID ${JSON.stringify(kid.slice(0, 64))} twice`);
    seen.add(kid);
    return { keyId: kid, spki: jwkToSpki(jwk), expiresAt: 0, tainted: false };
  });
}

function readSequence(value: JsonValue | undefined): bigint {
  if (value === undefined) return 0n;
  if (typeof value !== 'bigint' || value < 0n || value > MAX_SEQUENCE) {
    throw invalid('has a "spiffe_sequence" that is not a non-negative integer of 64 bits');
  }
  return value;
}

/** 0 and less count as no hint. */
function readRefreshHint(value: JsonValue | undefined): number {
  if (value === undefined) return 0;
  if (typeof value !== 'bigint' || value > MAX_REFRESH_HINT) {
    throw invalid('has a "spiffe_refresh_hint" that is not a whole number of seconds');
  }
  return value > 0n ? Number(value) : 0;
}

function x509Jwk({ der }: X509Authority): JsonObject {
  return {
    ...spkiToJwk(readCertificate(der).spki),
    use: 'x509-svid',
    x5c: [Buffer.from(der).toString('base64')],
  };
}

function jwtJwk({ keyId, spki }: JwtAuthority): JsonObject {
  return { ...spkiToJwk(spki), use: 'jwt-svid', kid: keyId };
}

function invalid(why: string): TouchmarkError {
  return new TouchmarkError('bundle_invalid', `the bundle ${why}`);
}
