import { TouchmarkError } from '../errors.js';
import {
  atEnd,
  type DerReader,
  enter,
  enterWhole,
  expect,
  expectEnd,
  readElement,
  reader,
  readFlag,
  readIf,
  readSmall,
  tag,
} from './der.js';
import { dottedOid } from './oid.js';

export interface Extension {
  readonly critical: boolean;
  readonly value: Uint8Array;
}

/** Extensions by the hex of their identifier. */
export type Extensions = ReadonlyMap<string, Extension>;

const MAX_EXTENSIONS = 64;
const MAX_NAMES = 1024;

/** Reads the content of an Extensions SEQUENCE; one that comes twice is refused (RFC 5280 section 4.2). */
export function readExtensions(list: DerReader): Extensions {
  const found = new Map<string, Extension>();
  while (!atEnd(list)) {
    const item = enter(list, tag.sequence, 'an extension');
    const id = expect(item, tag.oid, 'an extension identifier').content;
    const critical = readFlag(item, 'the critical flag');
    const value = expect(item, tag.octetString, 'an extension value').content;
    expectEnd(item, 'an extension');
    const key = hexOf(id);
    if (found.has(key)) {
      throw new TouchmarkError('certificate_invalid', `extension ${dottedOid(id)} comes twice`);
    }
    if (found.size === MAX_EXTENSIONS) {
      throw new TouchmarkError('certificate_invalid', `there are more than ${MAX_EXTENSIONS} extensions`);
    }
    found.set(key, { critical, value });
  }
  return found;
}

export interface AltNames {
  readonly uris: readonly string[];
  readonly dnsNames: readonly string[];
  /** The tags of names of other kinds (RFC 5280 GeneralName), for name constraints that we cannot judge. */
  readonly otherKinds: readonly number[];
}

export const noAltNames: AltNames = { uris: [], dnsNames: [], otherKinds: [] };

/** Reads a subject alternative name. Each octet becomes one character, so that nothing outside ASCII can look like ASCII. */
export function readAltNames(value: Uint8Array): AltNames {
  const names = enterWhole(value, tag.sequence, 'the subject alternative name');
  const uris: string[] = [];
  const dnsNames: string[] = [];
  const otherKinds: number[] = [];
  while (!atEnd(names)) {
    const name = readElement(names);
    if (name.tag === tag.primitive(6)) uris.push(latin1(name.content));
    else if (name.tag === tag.primitive(2)) dnsNames.push(latin1(name.content));
    else otherKinds.push(name.tag);
    if (uris.length + dnsNames.length + otherKinds.length > MAX_NAMES) {
      throw new TouchmarkError('certificate_invalid', `there are more than ${MAX_NAMES} alternative names`);
    }
  }
  return { uris, dnsNames, otherKinds };
}

/** The first octet of the key usage bits; the only bit outside it (decipherOnly) matters to nobody here. */
export function readKeyUsage(value: Uint8Array): number {
  const from = reader(value);
  const { content } = expect(from, tag.bitString, 'the key usage');
  expectEnd(from, 'the key usage');
  const [unused = 8, bits] = content;
  if (unused > 7 || content.length > 3)
    throw new TouchmarkError('certificate_invalid', 'the key usage is no bit string');
  return bits ?? 0;
}

export interface BasicConstraints {
  readonly authority: boolean;
  readonly pathLength: number | undefined;
}

export function readBasicConstraints(value: Uint8Array): BasicConstraints {
  const from = enterWhole(value, tag.sequence, 'the basic constraints');
  const authority = readFlag(from, 'the cA flag');
  const pathLength = atEnd(from) ? undefined : readSmall(from, 'the path length');
  expectEnd(from, 'the basic constraints');
  if (pathLength !== undefined && !authority) {
    throw new TouchmarkError(
      'certificate_invalid',
      'a path length stands in a certificate that is no authority',
    );
  }
  return { authority, pathLength };
}

/** The purposes, as hex of their identifiers (`oidHex`). */
export function readExtendedKeyUsage(value: Uint8Array): string[] {
  const from = enterWhole(value, tag.sequence, 'the extended key usage');
  const purposes: string[] = [];
  while (!atEnd(from)) {
    if (purposes.length === MAX_EXTENSIONS)
      throw new TouchmarkError('certificate_invalid', 'too many key purposes');
    purposes.push(hexOf(expect(from, tag.oid, 'a key purpose').content));
  }
  return purposes;
}

export function readSubjectKeyId(value: Uint8Array): Uint8Array {
  const from = reader(value);
  const { content } = expect(from, tag.octetString, 'the subject key identifier');
  expectEnd(from, 'the subject key identifier');
  return content;
}

/** The keyIdentifier of an authority key identifier; its issuer and serial number forms are passed over. */
export function readAuthorityKeyId(value: Uint8Array): Uint8Array | undefined {
  const from = enterWhole(value, tag.sequence, 'the authority key identifier');
  const identifier = readIf(from, tag.primitive(0))?.content;
  while (!atEnd(from)) readElement(from);
  return identifier;
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}
