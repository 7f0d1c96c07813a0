/** Certificate revocation lists, version 2 (RFC 5280 section 5): read and verified. */
import { messageOf, TouchmarkError } from '../errors.js';
import { hasSigned } from './chain.js';
import {
  atEnd,
  type DerReader,
  enter,
  enterWhole,
  expect,
  expectEnd,
  peekTag,
  readBits,
  readElement,
  reader,
  readSmall,
  readUnsigned,
  tag,
} from './der.js';
import { keyUsageBit } from './extensions.js';
import { dottedOid, oidHex } from './oid.js';
import type { Certificate } from './read-certificate.js';
import { type Extensions, readAuthorityKeyId, readExtensions } from './read-extensions.js';
import { decodeTime } from './time.js';

export interface CrlEntry {
  /** Unix seconds. */
  readonly revokedAt: number;
  /** RFC 5280 section 5.3.1; 0 when none is given. */
  readonly reason: number;
}

export interface Crl {
  readonly der: Uint8Array;
  /** What the signature covers. */
  readonly tbs: Uint8Array;
  readonly signatureAlgorithm: Uint8Array;
  readonly signature: Uint8Array;
  readonly issuerDer: Uint8Array;
  /** Unix seconds. */
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  readonly number: bigint | undefined;
  readonly authorityKeyId: Uint8Array | undefined;
  /** By the hex of the serial number, as `Certificate.serial`. */
  readonly entries: ReadonlyMap<string, CrlEntry>;
}

const MAX_CRL_BYTES = 16 * 1024 * 1024;
const MAX_ENTRIES = 200_000;
const ENUMERATED = 0x0a;

/**
 * Reads one DER CRL strictly. Complete lists of the issuer's own certificates only: a delta, an indirect or a partitioned list
 * says so in a critical extension, and is refused, because it would be taken for what it is not.
 * Establishes no signature, no time and no issuer.
 * @throws TouchmarkError `crl_invalid`
 */
export function readCrl(der: Uint8Array): Crl {
  if (der.length > MAX_CRL_BYTES) throw invalid(`the CRL is longer than ${MAX_CRL_BYTES} bytes`);
  try {
    return read(der);
  } catch (cause) {
    if (!(cause instanceof TouchmarkError) || cause.code === 'crl_invalid') throw cause;
    throw new TouchmarkError('crl_invalid', `the CRL cannot be read: ${messageOf(cause)}`, { cause });
  }
}

function read(der: Uint8Array): Crl {
  const outer = enterWhole(der, tag.sequence, 'the CRL');
  const { raw: tbs, content } = expect(outer, tag.sequence, 'the signed part');
  const signatureAlgorithm = expect(outer, tag.sequence, 'the signature algorithm').raw;
  const signature = readBits(outer, 'the signature');
  expectEnd(outer, 'the CRL');
  const { innerAlgorithm, ...fields } = readSignedPart(reader(content));
  if (Buffer.compare(innerAlgorithm, signatureAlgorithm) !== 0) {
    throw invalid('the CRL names two different signature algorithms');
  }
  return { der, tbs, signatureAlgorithm, signature, ...fields };
}

function readSignedPart(from: DerReader) {
  const version = peekTag(from) === tag.integer ? readSmall(from, 'the version') + 1 : 1;
  if (version !== 2) throw invalid(`the CRL is of version ${version}`);
  const innerAlgorithm = expect(from, tag.sequence, 'the signature algorithm').raw;
  const issuerDer = expect(from, tag.sequence, 'the issuer').raw;
  const thisUpdate = decodeTime(readElement(from));
  if (peekTag(from) !== tag.utcTime && peekTag(from) !== tag.generalizedTime) {
    throw invalid('the CRL does not say when the next one comes');
  }
  const nextUpdate = decodeTime(readElement(from));
  const entries = peekTag(from) === tag.sequence ? readEntries(from) : new Map<string, CrlEntry>();
  const { number, authorityKeyId } = readCrlExtensions(from);
  expectEnd(from, 'the signed part');
  return { innerAlgorithm, issuerDer, thisUpdate, nextUpdate, number, authorityKeyId, entries };
}

function readEntries(from: DerReader): Map<string, CrlEntry> {
  const list = enter(from, tag.sequence, 'the revoked certificates');
  if (atEnd(list)) throw invalid('the CRL has an empty list where it should have none');
  const entries = new Map<string, CrlEntry>();
  while (!atEnd(list)) {
    if (entries.size === MAX_ENTRIES) throw invalid(`the CRL has more than ${MAX_ENTRIES} entries`);
    const item = enter(list, tag.sequence, 'a revoked certificate');
    const serial = Buffer.from(readUnsigned(item, 'a serial number')).toString('hex');
    const revokedAt = decodeTime(readElement(item));
    const reason = atEnd(item)
      ? 0
      : readReason(readExtensions(enter(item, tag.sequence, 'entry extensions')));
    expectEnd(item, 'a revoked certificate');
    if (entries.has(serial)) throw invalid(`the CRL lists serial ${serial.slice(0, 64)} twice`);
    entries.set(serial, { revokedAt, reason });
  }
  return entries;
}

function readReason(extensions: Extensions): number {
  refuseCritical(extensions, [oidHex.reasonCode]);
  const value = extensions.get(oidHex.reasonCode)?.value;
  if (value === undefined) return 0;
  const from = reader(value);
  const { content } = expect(from, ENUMERATED, 'the reason');
  expectEnd(from, 'the reason');
  const [reason = 255] = content;
  if (content.length !== 1 || reason > 10) throw invalid('the CRL has an unknown reason code');
  return reason;
}

function readCrlExtensions(from: DerReader) {
  if (peekTag(from) !== tag.constructed(0)) return { number: undefined, authorityKeyId: undefined };
  const wrapper = enter(from, tag.constructed(0), 'the CRL extensions');
  const extensions = readExtensions(enter(wrapper, tag.sequence, 'the CRL extensions'));
  expectEnd(wrapper, 'the CRL extensions');
  refuseCritical(extensions, [oidHex.crlNumber, oidHex.authorityKeyId]);
  const keyId = extensions.get(oidHex.authorityKeyId)?.value;
  const number = extensions.get(oidHex.crlNumber)?.value;
  return {
    number: number && readNumber(number),
    authorityKeyId: keyId && readAuthorityKeyId(keyId),
  };
}

function readNumber(value: Uint8Array): bigint {
  const from = reader(value);
  const magnitude = readUnsigned(from, 'the CRL number');
  expectEnd(from, 'the CRL number');
  if (magnitude.length > 20) throw invalid('the CRL number is longer than 20 bytes');
  return BigInt(`0x${Buffer.from(magnitude).toString('hex')}`);
}

function refuseCritical(extensions: Extensions, understood: readonly string[]): void {
  for (const [id, { critical }] of extensions) {
    if (!critical || understood.includes(id)) continue;
    throw invalid(`the CRL has the unknown critical extension ${dottedOid(Buffer.from(id, 'hex'))}`);
  }
}

/**
 * Checks that this authority signed the list and that it is of now: name, key identifier, permission to sign CRLs, signature,
 * thisUpdate and nextUpdate. Does not establish that the authority is to be trusted, nor that no newer list exists.
 * @param options.now Unix seconds
 * @throws TouchmarkError `crl_untrusted`
 */
export function verifyCrl(crl: Crl, issuer: Certificate, options: { readonly now: number }): void {
  const { authorityKeyId } = crl;
  if (Buffer.compare(crl.issuerDer, issuer.subjectDer) !== 0) throw untrusted('is of another authority');
  const { subjectKeyId } = issuer;
  if (authorityKeyId && subjectKeyId && Buffer.compare(authorityKeyId, subjectKeyId) !== 0) {
    throw untrusted("is of another of the authority's keys");
  }
  if (!issuer.authority || (issuer.keyUsagePresent && (issuer.keyUsage & keyUsageBit.crlSign) === 0)) {
    throw untrusted('is signed by a certificate that may not sign CRLs');
  }
  if (!hasSigned(issuer, crl)) throw untrusted('has a signature that is not good');
  if (options.now < crl.thisUpdate) throw untrusted(`is not of now: it begins at ${iso(crl.thisUpdate)}`);
  if (options.now > crl.nextUpdate) throw untrusted(`is out of date since ${iso(crl.nextUpdate)}`);
}

function iso(unixSeconds: number): string {
  return new Date(unixSeconds * 1000).toISOString();
}

function invalid(why: string): TouchmarkError {
  return new TouchmarkError('crl_invalid', why);
}

function untrusted(why: string): TouchmarkError {
  return new TouchmarkError('crl_untrusted', `the CRL ${why}`);
}
