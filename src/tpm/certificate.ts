import { TouchmarkError } from '../errors.js';
import { dottedOid } from '../x509/oid.js';
import { decodeTime } from '../x509/time.js';
import { digest } from './algorithms.js';
import { readCertificateKey } from './certificate-key.js';
import {
  bitsOf,
  contentOf,
  elementsInside,
  elementsOf,
  insideOf,
  type LenientElement,
  malformed,
} from './lenient-der.js';
import { type PlainKey, spkiHash } from './spki.js';

/** An X.509 certificate of a TPM vendor, read as leniently as their certificates need; bytes are kept as written. */
export interface TpmCertificate {
  der: Uint8Array;
  /** Lower-case hex SHA-256 of the DER. */
  fingerprint: string;
  /** What is signed, as it is written. */
  tbs: Uint8Array;
  algorithm: { oid: string; parameters: Uint8Array };
  signature: Uint8Array;
  /** Names in DER as written: compared byte for byte. */
  issuer: Uint8Array;
  subject: Uint8Array;
  /** Hex as written: for people, never for comparison. */
  serial: string;
  /** Unix milliseconds. */
  notBefore: number;
  notAfter: number;
  key: PlainKey;
  /** Of the SubjectPublicKeyInfo rebuilt in its one encoding. */
  spkiHash: string;
  /** By dotted object identifier. */
  extensions: ReadonlyMap<string, CertificateExtension>;
  /** How the encoding departs from DER and RFC 5280. */
  deviations: Deviation[];
}

export interface CertificateExtension {
  critical: boolean;
  /** Content of the OCTET STRING. */
  value: Uint8Array;
}

/** A departure from the EK Credential Profile or from DER that is reported, not refused. */
export interface Deviation {
  code: string;
  message: string;
}

const SEQUENCE = 0x30;
const MAX_CERTIFICATE = 8 * 1024;

/**
 * Reads one certificate; nothing may follow it. Attribute certificates (platform certificates) are recognised and refused.
 * Does NOT verify anything: not the signature, not the dates, not what the key may be used for.
 */
export function readTpmCertificate(der: Uint8Array): TpmCertificate {
  if (der.length > MAX_CERTIFICATE)
    throw malformed(`has ${der.length} bytes, at most ${MAX_CERTIFICATE} are read`);
  const notes = new Map<string, string>();
  const note = (): void => void notes.set('der_not_minimal', 'a length is not written in its shortest form');
  const [tbs, algorithm, signature, more] = elementsInside(der, SEQUENCE, 'the certificate', note);
  if (!tbs || more) throw malformed('is not made of three parts');
  const fields = insideOf(tbs, SEQUENCE, 'the signed part', note);
  refuseAttributeCertificate(fields);
  const version = fields[0]?.tag === 0xa0 ? 1 : 0;
  const [serial, inner, issuer, validity, subject, spki, ...rest] = fields.slice(version);
  if (!algorithm || !inner || !Buffer.from(inner.raw).equals(algorithm.raw)) {
    throw malformed('names two different signature algorithms');
  }
  noteSerial(contentOf(serial, 0x02, 'the serial number'), notes);
  const key = readCertificateKey(spki, notes);
  return {
    der,
    fingerprint: Buffer.from(digest('sha256', der)).toString('hex'),
    tbs: tbs.raw,
    algorithm: readAlgorithm(algorithm),
    signature: bitsOf(signature, 'the signature'),
    issuer: nameOf(issuer, 'the issuer'),
    subject: nameOf(subject, 'the subject'),
    serial: Buffer.from(serial?.content ?? []).toString('hex'),
    ...readValidity(validity),
    key,
    spkiHash: spkiHash(key),
    extensions: readExtensions(rest.find(({ tag }) => tag === 0xa3)),
    deviations: [...notes].map(([code, message]) => ({ code, message })),
  };
}

/** A version-2 AttributeCertificate has a plain version number first and its issuer as [0] third (RFC 5755). */
function refuseAttributeCertificate(fields: readonly LenientElement[]): void {
  const [version, , issuer] = fields;
  if (version?.tag !== 0x02 || version.content[0] !== 1 || issuer?.tag !== 0xa0) return;
  const message =
    'this is an attribute certificate, which describes a platform, and not a certificate of a key';
  throw new TouchmarkError('ek_certificate_platform', message);
}

function noteSerial(serial: Uint8Array, notes: Map<string, string>): void {
  if (serial.length === 0 || serial.every((octet) => octet === 0))
    notes.set('serial_zero', 'the serial number is zero');
  else if ((serial[0] ?? 0) >= 0x80) notes.set('serial_negative', 'the serial number is negative');
  else if (serial.length > 20) notes.set('serial_long', 'the serial number is longer than 20 bytes');
}

function nameOf(element: LenientElement | undefined, what: string): Uint8Array {
  contentOf(element, SEQUENCE, what);
  return element?.raw ?? new Uint8Array();
}

function readAlgorithm(element: LenientElement): TpmCertificate['algorithm'] {
  const [id, parameters] = insideOf(element, SEQUENCE, 'the signature algorithm');
  return {
    oid: dottedOid(contentOf(id, 0x06, 'the signature algorithm')),
    parameters: parameters?.raw ?? new Uint8Array(),
  };
}

function readValidity(element: LenientElement | undefined): { notBefore: number; notAfter: number } {
  const [from, until] = insideOf(element, SEQUENCE, 'the validity');
  if (!from || !until) throw malformed('has no two dates');
  return { notBefore: decodeTime(from) * 1000, notAfter: decodeTime(until) * 1000 };
}

function readExtensions(element: LenientElement | undefined): Map<string, CertificateExtension> {
  const found = new Map<string, CertificateExtension>();
  if (!element) return found;
  for (const extension of elementsInside(element.content, SEQUENCE, 'the extensions')) {
    const [id, ...fields] = elementsOf(contentOf(extension, SEQUENCE, 'an extension'));
    const oid = dottedOid(contentOf(id, 0x06, "an extension's name"));
    if (found.has(oid)) throw malformed(`has the extension ${oid} twice`);
    const flag = fields[0]?.tag === 0x01 ? fields[0] : undefined;
    const value = contentOf(fields[flag ? 1 : 0], 0x04, `the extension ${oid}`);
    found.set(oid, { critical: flag?.content.some((octet) => octet !== 0) ?? false, value });
  }
  return found;
}
