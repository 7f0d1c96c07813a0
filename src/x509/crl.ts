/** Certificate revocation lists, version 2 (RFC 5280 section 5): written for our own authorities. */
import type { KeyObject } from 'node:crypto';
import { TouchmarkError } from '../errors.js';
import { bitString, oid, sequence, tag, tlv, unsignedInteger } from './der.js';
import { authorityKeyId, extension } from './extensions.js';
import { signDer, signingSchemeOf } from './signature.js';
import { encodeTime } from './time.js';

/** The reasons that we write or read (RFC 5280 section 5.3.1). */
export const crlReason = {
  unspecified: 0,
  keyCompromise: 1,
  cessationOfOperation: 5,
  privilegeWithdrawn: 9,
} as const;

export interface CrlTemplate {
  /** CRLNumber: rises with every list of one authority. */
  readonly number: bigint;
  /** Unix seconds. */
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  /** In any order; a serial number that comes twice is listed once, as it came first. */
  readonly entries: readonly RevokedCertificate[];
}

export interface RevokedCertificate {
  /** Big-endian magnitude, not zero. */
  readonly serial: Uint8Array;
  /** Unix seconds. */
  readonly revokedAt: number;
  /** One of `crlReason`; 0 is left out, as RFC 5280 asks. */
  readonly reason: number;
}

/** The authority: what `CertificateSigner` and an opened signer have in common. */
export interface CrlSigner {
  readonly key: KeyObject;
  readonly subjectDer: Uint8Array;
  readonly skid: Uint8Array;
}

const version2 = unsignedInteger(Uint8Array.of(1));
const ids = { crlNumber: oid('2.5.29.20'), reasonCode: oid('2.5.29.21') };

/**
 * Builds and signs a CRL: entries in ascending order of their serial numbers, authority key identifier, CRL number. It is a
 * complete list of its authority's certificates that were withdrawn, as far as the caller gives them.
 * @throws TouchmarkError `crl_invalid`, `certificate_invalid` for a time that cannot be written
 */
export function signCrl(template: CrlTemplate, signer: CrlSigner): Buffer {
  const { number, thisUpdate, nextUpdate } = template;
  if (nextUpdate <= thisUpdate) throw new TouchmarkError('crl_invalid', 'the CRL would end before it begins');
  const algorithm = signingSchemeOf(signer.key).identifier;
  const entries = revokedList(template.entries);
  const extensions = sequence(
    authorityKeyId(signer.skid),
    extension(ids.crlNumber, false, unsignedInteger(magnitude(number))),
  );
  const tbs = sequence(
    version2,
    algorithm,
    signer.subjectDer,
    encodeTime(thisUpdate),
    encodeTime(nextUpdate),
    // An empty list is left out altogether (RFC 5280 section 5.1.2.6). A long one would not fit the stack as arguments.
    ...(entries.length === 0 ? [] : [sequence(Buffer.concat(entries))]),
    tlv(tag.constructed(0), extensions),
  );
  return sequence(tbs, algorithm, bitString(signDer(tbs, signer.key)));
}

/** Date and reason are mostly the same for thousands of entries: they are encoded once. */
function revokedList(entries: readonly RevokedCertificate[]): Buffer[] {
  const tails = new Map<string, Buffer>();
  const tailOf = ({ revokedAt, reason }: RevokedCertificate): Buffer => {
    const key = `${revokedAt} ${reason}`;
    const tail = tails.get(key) ?? Buffer.concat([encodeTime(revokedAt), ...reasonExtension(reason)]);
    tails.set(key, tail);
    return tail;
  };
  const serials = entries.map((entry) => ({ entry, key: serialKey(entry.serial) }));
  serials.sort((a, b) => a.key.length - b.key.length || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  return serials
    .filter(({ key }, index) => key !== serials[index - 1]?.key)
    .map(({ entry }) => sequence(unsignedInteger(entry.serial), tailOf(entry)));
}

function serialKey(serial: Uint8Array): string {
  const hex = Buffer.from(serial.buffer, serial.byteOffset, serial.length)
    .toString('hex')
    .replace(/^(00)+/, '');
  if (hex === '') throw new TouchmarkError('crl_invalid', 'a serial number of the CRL is zero');
  return hex;
}

function reasonExtension(reason: number): Buffer[] {
  if (reason === crlReason.unspecified) return [];
  return [sequence(extension(ids.reasonCode, false, tlv(ENUMERATED, Uint8Array.of(reason))))];
}

const ENUMERATED = 0x0a;

function magnitude(value: bigint): Buffer {
  const hex = value.toString(16);
  // RFC 5280 section 5.2.3: at most 20 octets, and a sign octet belongs to them.
  if (value < 0n || hex.length > 38) throw new TouchmarkError('crl_invalid', `${value} is no CRL number`);
  return Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
}
