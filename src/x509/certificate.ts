import type { KeyObject } from 'node:crypto';
import { TouchmarkError } from '../errors.js';
import { bitString, sequence, tag, tlv, unsignedInteger } from './der.js';
import {
  authorityKeyId,
  basicConstraints,
  keyUsage,
  keyUsageBit,
  serverAndClientAuth,
  subjectAltName,
  subjectKeyId,
} from './extensions.js';
import { encodeName, type NameParts } from './name.js';
import { readCertificate } from './read-certificate.js';
import { signDer, signingSchemeOf } from './signature.js';
import { exportSpki, keyIdentifier, readSpki } from './spki.js';
import { encodeTime } from './time.js';

/** A certificate authority that signs: its key and what every certificate below it repeats. Made by `makeSigner`. */
export interface CertificateSigner {
  readonly key: KeyObject;
  /** The authority's own certificate, DER. */
  readonly certificate: Uint8Array;
  /** Its subject key identifier, which becomes the authority key identifier of what it signs. */
  readonly skid: Uint8Array;
  /** Its subject, DER, which becomes the issuer of what it signs. */
  readonly subjectDer: Uint8Array;
}

interface CommonTemplate {
  /** Big-endian, not zero, at most 16 bytes; leading zeros are dropped. */
  readonly serial: Uint8Array;
  /** Name, DER (`encodeName`). An empty one makes the subject alternative name critical. */
  readonly subject: Uint8Array;
  /** Unix seconds, both inclusive. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
}

/** An X.509-SVID of a workload, a node or the server. */
export interface LeafTemplate extends CommonTemplate {
  readonly kind: 'leaf';
  /** The SPIFFE ID: the only URI. */
  readonly uri: string;
  readonly dnsNames: readonly string[];
}

/** A signing certificate, self-signed or intermediate. */
export interface AuthorityTemplate extends CommonTemplate {
  readonly kind: 'authority';
  /** `spiffe://trust-domain`, without a path. */
  readonly uri: string;
  /** Absent: no limit. */
  readonly pathLength?: number;
}

export type CertificateTemplate = LeafTemplate | AuthorityTemplate;

const version3 = tlv(tag.constructed(0), unsignedInteger(Uint8Array.of(2)));
const leafUsage = keyUsage(
  keyUsageBit.digitalSignature | keyUsageBit.keyEncipherment | keyUsageBit.keyAgreement,
);
const authorityUsage = keyUsage(keyUsageBit.keyCertSign | keyUsageBit.crlSign);
const notAnAuthority = basicConstraints(false);

/**
 * Builds and signs a certificate (X509-SVID sections 2-4). The hot path of issuing: one signature, no library.
 * Says nothing about whether the caller may have this name, or holds the key.
 * @throws TouchmarkError `certificate_invalid`, `key_unsupported`
 */
export function signCertificate(template: CertificateTemplate, signer: CertificateSigner): Buffer {
  return seal(template, signer.subjectDer, signer.skid, signer.key);
}

/** Makes a root: an authority that signs itself. `template.spki` is taken from the key. */
export function selfSign(template: Omit<AuthorityTemplate, 'spki'>, key: KeyObject): CertificateSigner {
  const spki = exportSpki(key);
  const skid = keyIdentifier(readSpki(spki).keyBits);
  const certificate = seal({ ...template, spki }, template.subject, skid, key);
  return { key, certificate, skid, subjectDer: template.subject };
}

/**
 * Joins a key and its certificate into a signer.
 * @throws TouchmarkError `certificate_invalid` when they do not belong together or the certificate may not sign
 */
export function makeSigner(key: KeyObject, certificate: Uint8Array): CertificateSigner {
  const read = readCertificate(certificate);
  if (!exportSpki(key).equals(read.spki)) {
    throw new TouchmarkError('certificate_invalid', 'the signing key is not the key of its certificate');
  }
  if (!read.authority || (read.keyUsage & keyUsageBit.keyCertSign) === 0) {
    throw new TouchmarkError('certificate_invalid', 'the certificate is not one of an authority');
  }
  const skid = read.subjectKeyId ?? keyIdentifier(readSpki(read.spki).keyBits);
  return { key, certificate: read.der, skid, subjectDer: read.subjectDer };
}

/** A name in the style of SPIRE's: country, organisation, and the first DNS name when there is one that fits. */
export function leafSubject(dnsNames: readonly string[], base: NameParts = {}): Buffer {
  const [first] = dnsNames;
  const fits = first !== undefined && first.length <= 64;
  return encodeName({
    country: 'US',
    organization: 'Touchmark',
    ...base,
    ...(fits ? { commonName: first } : {}),
  });
}

function seal(
  template: CertificateTemplate,
  issuer: Uint8Array,
  issuerKeyId: Uint8Array,
  key: KeyObject,
): Buffer {
  const algorithm = signingSchemeOf(key).identifier;
  const tbs = sequence(
    version3,
    serialNumber(template.serial),
    algorithm,
    issuer,
    validity(template),
    template.subject,
    template.spki,
    tlv(tag.constructed(3), sequence(...extensionsOf(template, issuerKeyId))),
  );
  return sequence(tbs, algorithm, bitString(signDer(tbs, key)));
}

function extensionsOf(template: CertificateTemplate, issuerKeyId: Uint8Array): Uint8Array[] {
  const keyId = subjectKeyId(keyIdentifier(readSpki(template.spki).keyBits));
  const emptySubject = template.subject.length === 2;
  if (template.kind === 'leaf') {
    const names = subjectAltName([template.uri], template.dnsNames, emptySubject);
    return [leafUsage, serverAndClientAuth, notAnAuthority, keyId, authorityKeyId(issuerKeyId), names];
  }
  const constraints = basicConstraints(true, template.pathLength);
  const names = subjectAltName([template.uri], [], emptySubject);
  return [authorityUsage, constraints, keyId, authorityKeyId(issuerKeyId), names];
}

function validity({ notBefore, notAfter }: CommonTemplate): Buffer {
  if (notAfter <= notBefore) {
    throw new TouchmarkError(
      'certificate_invalid',
      `the certificate would end (${notAfter}) before it begins`,
    );
  }
  return sequence(encodeTime(notBefore), encodeTime(notAfter));
}

function serialNumber(serial: Uint8Array): Buffer {
  if (serial.length > 16 || serial.every((byte) => byte === 0)) {
    throw new TouchmarkError('certificate_invalid', 'the serial number is zero or longer than 16 bytes');
  }
  return unsignedInteger(serial);
}
