import { TouchmarkError } from '../errors.js';
import {
  type DerReader,
  enter,
  enterWhole,
  expect,
  expectEnd,
  peekTag,
  readBits,
  readElement,
  reader,
  readIf,
  readSmall,
  readUnsigned,
  tag,
} from './der.js';
import { dottedOid, oidHex } from './oid.js';
import {
  type AltNames,
  type Extensions,
  noAltNames,
  readAltNames,
  readAuthorityKeyId,
  readBasicConstraints,
  readExtendedKeyUsage,
  readExtensions,
  readKeyUsage,
  readSubjectKeyId,
} from './read-extensions.js';
import { decodeTime } from './time.js';

/** A certificate, read but not verified. All byte fields are views on `der`. */
export interface Certificate extends AltNames {
  readonly der: Uint8Array;
  /** The part that is signed. */
  readonly tbs: Uint8Array;
  readonly signatureAlgorithm: Uint8Array;
  readonly signature: Uint8Array;
  /** 1, 2 or 3. */
  readonly version: number;
  /** Lower-case hex without a sign octet. */
  readonly serial: string;
  readonly issuerDer: Uint8Array;
  readonly subjectDer: Uint8Array;
  /** Unix seconds, both inclusive. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** SubjectPublicKeyInfo, DER, as it stands: `readSpki` says whether it is a key that we use. */
  readonly spki: Uint8Array;
  readonly altNamesCritical: boolean;
  /** Bits of `keyUsageBit`; 0 when the extension is absent. */
  readonly keyUsage: number;
  readonly keyUsagePresent: boolean;
  readonly keyUsageCritical: boolean;
  /** Hex identifiers; undefined when the extension is absent. */
  readonly extendedKeyUsage: readonly string[] | undefined;
  readonly basicConstraintsPresent: boolean;
  readonly authority: boolean;
  readonly pathLength: number | undefined;
  readonly subjectKeyId: Uint8Array | undefined;
  readonly authorityKeyId: Uint8Array | undefined;
  /** The extension's value, for `checkNameConstraints`. */
  readonly nameConstraints: Uint8Array | undefined;
  /** Dotted identifiers of critical extensions that nobody here understands; such a certificate must be refused. */
  readonly unknownCritical: readonly string[];
}

const noConstraints = { authority: false, pathLength: undefined };
const MAX_CERTIFICATE_BYTES = 64 * 1024;

/** Certificate policies can only fail a path whose policy is constrained, and a critical constraint on it is unknown here. */
const understood: ReadonlySet<string> = new Set([
  oidHex.subjectKeyId,
  oidHex.keyUsage,
  oidHex.subjectAltName,
  oidHex.basicConstraints,
  oidHex.nameConstraints,
  oidHex.certificatePolicies,
  oidHex.authorityKeyId,
  oidHex.extendedKeyUsage,
]);

/**
 * Reads one DER certificate strictly: exactly one, nothing after it, every field in its place (RFC 5280 section 4.1).
 * Establishes no signature, no time, no issuer and no purpose.
 * @throws TouchmarkError `der_invalid`, `certificate_invalid`
 */
export function readCertificate(der: Uint8Array): Certificate {
  if (der.length > MAX_CERTIFICATE_BYTES) {
    throw new TouchmarkError(
      'certificate_invalid',
      `the certificate is longer than ${MAX_CERTIFICATE_BYTES} bytes`,
    );
  }
  const outer = enterWhole(der, tag.sequence, 'the certificate');
  const { raw: tbs, content } = expect(outer, tag.sequence, 'the signed part');
  const signatureAlgorithm = expect(outer, tag.sequence, 'the signature algorithm').raw;
  const signature = readBits(outer, 'the signature');
  expectEnd(outer, 'the certificate');
  const { innerAlgorithm, extensions, ...fields } = readSignedPart(reader(content));
  if (Buffer.compare(innerAlgorithm, signatureAlgorithm) !== 0) {
    throw new TouchmarkError(
      'certificate_invalid',
      'the certificate names two different signature algorithms',
    );
  }
  return { der, tbs, signatureAlgorithm, signature, ...fields, ...interpret(extensions) };
}

function readSignedPart(from: DerReader) {
  const version = readVersion(from);
  const serial = readSerial(from);
  const innerAlgorithm = expect(from, tag.sequence, 'the signature algorithm').raw;
  const issuerDer = expect(from, tag.sequence, 'the issuer').raw;
  const [notBefore, notAfter] = readValidity(from);
  const subjectDer = expect(from, tag.sequence, 'the subject').raw;
  const spki = expect(from, tag.sequence, 'the public key').raw;
  readIf(from, tag.primitive(1));
  readIf(from, tag.primitive(2));
  const extensions = readExtensionPart(from, version);
  expectEnd(from, 'the signed part');
  return { version, serial, innerAlgorithm, issuerDer, notBefore, notAfter, subjectDer, spki, extensions };
}

function readVersion(from: DerReader): number {
  if (peekTag(from) !== tag.constructed(0)) return 1;
  const inner = enter(from, tag.constructed(0), 'the version');
  const version = readSmall(inner, 'the version') + 1;
  expectEnd(inner, 'the version');
  if (version !== 2 && version !== 3) {
    throw new TouchmarkError('certificate_invalid', `the certificate is of version ${version}`);
  }
  return version;
}

function readSerial(from: DerReader): string {
  const serial = readUnsigned(from, 'the serial number');
  if (serial.length > 20)
    throw new TouchmarkError('certificate_invalid', 'the serial number is longer than 20 bytes');
  return Buffer.from(serial).toString('hex');
}

function readValidity(from: DerReader): [notBefore: number, notAfter: number] {
  const validity = enter(from, tag.sequence, 'the validity');
  const times: [number, number] = [decodeTime(readElement(validity)), decodeTime(readElement(validity))];
  expectEnd(validity, 'the validity');
  return times;
}

function readExtensionPart(from: DerReader, version: number): Extensions {
  if (peekTag(from) !== tag.constructed(3)) return new Map();
  if (version !== 3)
    throw new TouchmarkError('certificate_invalid', 'there are extensions in an old version');
  const wrapper = enter(from, tag.constructed(3), 'the extensions');
  const list = enter(wrapper, tag.sequence, 'the extensions');
  expectEnd(wrapper, 'the extensions');
  return readExtensions(list);
}

function interpret(extensions: Extensions) {
  const altNames = extensions.get(oidHex.subjectAltName);
  const usage = extensions.get(oidHex.keyUsage);
  const constraints = extensions.get(oidHex.basicConstraints);
  const purposes = extensions.get(oidHex.extendedKeyUsage);
  const ownKeyId = extensions.get(oidHex.subjectKeyId);
  const issuerKeyId = extensions.get(oidHex.authorityKeyId);
  const { uris, dnsNames, otherKinds } = altNames ? readAltNames(altNames.value) : noAltNames;
  const { authority, pathLength } = constraints ? readBasicConstraints(constraints.value) : noConstraints;
  return {
    uris,
    dnsNames,
    otherKinds,
    altNamesCritical: altNames?.critical ?? false,
    keyUsage: usage ? readKeyUsage(usage.value) : 0,
    keyUsagePresent: usage !== undefined,
    keyUsageCritical: usage?.critical ?? false,
    extendedKeyUsage: purposes && readExtendedKeyUsage(purposes.value),
    basicConstraintsPresent: constraints !== undefined,
    authority,
    pathLength,
    subjectKeyId: ownKeyId && readSubjectKeyId(ownKeyId.value),
    authorityKeyId: issuerKeyId && readAuthorityKeyId(issuerKeyId.value),
    nameConstraints: extensions.get(oidHex.nameConstraints)?.value,
    unknownCritical: unknownCritical(extensions),
  };
}

function unknownCritical(extensions: Extensions): string[] {
  const unknown: string[] = [];
  for (const [id, { critical }] of extensions) {
    if (critical && !understood.has(id)) unknown.push(dottedOid(Buffer.from(id, 'hex')));
  }
  return unknown;
}
