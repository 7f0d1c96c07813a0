import { constants, type KeyObject, verify } from 'node:crypto';
import { TouchmarkError } from '../errors.js';
import { dottedOid } from '../x509/oid.js';
import type { HashName } from './algorithms.js';
import type { TpmCertificate } from './certificate.js';
import { contentOf, elementsInside, elementsOf, type LenientElement } from './lenient-der.js';
import { keyObjectOf } from './spki.js';

interface CertificateScheme {
  key: 'rsa' | 'ecc';
  hash: HashName;
  /** Bytes of salt: RSASSA-PSS. */
  salt?: number;
}

const schemes: Readonly<Record<string, CertificateScheme>> = {
  '1.2.840.113549.1.1.5': { key: 'rsa', hash: 'sha1' },
  '1.2.840.113549.1.1.11': { key: 'rsa', hash: 'sha256' },
  '1.2.840.113549.1.1.12': { key: 'rsa', hash: 'sha384' },
  '1.2.840.113549.1.1.13': { key: 'rsa', hash: 'sha512' },
  '1.2.840.10045.4.1': { key: 'ecc', hash: 'sha1' },
  '1.2.840.10045.4.3.2': { key: 'ecc', hash: 'sha256' },
  '1.2.840.10045.4.3.3': { key: 'ecc', hash: 'sha384' },
  '1.2.840.10045.4.3.4': { key: 'ecc', hash: 'sha512' },
};

const RSASSA_PSS = '1.2.840.113549.1.1.10';
const MGF1 = '1.2.840.113549.1.1.8';
const pssHashes: Readonly<Record<string, HashName>> = {
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
};

/** The scheme a certificate is signed with; unknown ones (MD5, explicit hashes, RSASSA-PSS with mixed hashes) are refused. */
export function schemeOf({ algorithm }: TpmCertificate): CertificateScheme {
  const known = algorithm.oid === RSASSA_PSS ? pssScheme(algorithm.parameters) : schemes[algorithm.oid];
  if (known) return known;
  throw new TouchmarkError(
    'ek_certificate_invalid',
    `the certificate is signed with ${algorithm.oid}, which is not supported`,
  );
}

/** Whether the issuer's key signed exactly the bytes of the signed part. Does NOT establish that the issuer may issue. */
export function isIssuedBy(certificate: TpmCertificate, issuer: TpmCertificate): boolean {
  const scheme = schemeOf(certificate);
  if (scheme.key !== issuer.key.type) return false;
  const { tbs, signature } = certificate;
  const { RSA_PKCS1_PSS_PADDING: padding } = constants;
  const key = keyOf(issuer);
  try {
    if (scheme.salt === undefined) return verify(scheme.hash, tbs, key, signature);
    return verify(scheme.hash, tbs, { key, padding, saltLength: scheme.salt }, signature);
  } catch {
    return false; // OpenSSL throws for some signatures that no key could have made
  }
}

const keys = new WeakMap<TpmCertificate, KeyObject>();

/** Remembered by certificate: shipped intermediates are used again and again. */
function keyOf(certificate: TpmCertificate): KeyObject {
  const key = keys.get(certificate) ?? keyObjectOf(certificate.key);
  keys.set(certificate, key);
  return key;
}

/** RSASSA-PSS-params (RFC 4055): [0] hash, [1] mask generation with the same hash, [2] salt length, all three written out. */
function pssScheme(parameters: Uint8Array): CertificateScheme | undefined {
  const fields = new Map(elementsInside(parameters, 0x30, 'the PSS parameters').map((one) => [one.tag, one]));
  const [hash] = algorithmIn(fields.get(0xa0));
  const [mask, maskHash] = algorithmIn(fields.get(0xa1));
  const name = hash === undefined ? undefined : pssHashes[hash];
  if (!name || mask !== MGF1 || maskHash !== hash) return undefined;
  const [salt] = elementsOf(fields.get(0xa2)?.content ?? new Uint8Array());
  const octets = contentOf(salt, 0x02, 'the salt length');
  return octets.length === 1 ? { key: 'rsa', hash: name, salt: octets[0] ?? 0 } : undefined;
}

/** The object identifier of an AlgorithmIdentifier inside [n], and of the one that is its parameter. */
function algorithmIn(element: LenientElement | undefined): [oid?: string, parameter?: string] {
  if (!element) return [];
  const [id, parameter] = elementsInside(element.content, 0x30, 'the PSS parameters');
  const oid = dottedOid(contentOf(id, 0x06, 'the PSS parameters'));
  if (parameter?.tag !== 0x30) return [oid];
  const [inner] = elementsOf(parameter.content);
  return [oid, dottedOid(contentOf(inner, 0x06, 'the PSS parameters'))];
}
