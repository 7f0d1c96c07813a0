import { type KeyObject, randomBytes } from 'node:crypto';
import { TouchmarkError } from '../../errors.js';
import { makeSpiffeId, type TrustDomain } from '../../spiffe/id.js';
import { selfSign } from '../../x509/certificate.js';
import { verifyChain } from '../../x509/chain.js';
import { buildCsr } from '../../x509/csr.js';
import { keyUsageBit } from '../../x509/extensions.js';
import { encodeName, type NameParts } from '../../x509/name.js';
import { type Certificate, readCertificate } from '../../x509/read-certificate.js';
import { exportSpki, keyIdentifier, readSpki } from '../../x509/spki.js';
import type { X509Signer } from '../contract.js';
import type { AuthorityRecord } from '../model.js';
import type { UpstreamAuthority } from '../upstream-authorities/contract.js';
import type { AuthorityKind } from './slots.js';

export interface X509AuthorityOptions {
  readonly trustDomain: TrustDomain;
  /** Seconds. */
  readonly ttl: number;
  readonly subject: NameParts;
  readonly upstream?: UpstreamAuthority | undefined;
}

/** Certificates and tokens begin a little earlier, for those whose clocks run behind. */
export const BACKDATE_SECONDS = 10;

/** X.509 authorities: self-signed, or signed by the authority above. Its ID is the hex subject key identifier. */
export function x509AuthorityKind(options: X509AuthorityOptions): AuthorityKind<X509Signer> {
  return {
    purpose: 'x509',
    oldKeys: 5,
    make: (key, keyName, now) =>
      options.upstream === undefined
        ? makeRoot(options, key, keyName, now)
        : makeIntermediate(options, options.upstream, key, keyName, now),
    signerOf,
  };
}

async function makeRoot(
  { trustDomain, ttl, subject }: X509AuthorityOptions,
  key: KeyObject,
  keyName: string,
  now: number,
): Promise<AuthorityRecord> {
  const serial = positiveSerial();
  const serialNumber = BigInt(`0x${serial.toString('hex')}`).toString();
  const root = selfSign(
    {
      kind: 'authority',
      serial,
      subject: encodeName({ ...subject, serialNumber }),
      uri: makeSpiffeId(trustDomain, ''),
      notBefore: now - BACKDATE_SECONDS,
      notAfter: now + ttl,
    },
    key,
  );
  const der = Buffer.from(root.certificate).toString('base64');
  return { ...record(readCertificate(root.certificate), keyName, now), chain: [der], published: der };
}

/** What the upstream authority returned is checked as if a stranger had sent it. */
async function makeIntermediate(
  { trustDomain, ttl }: X509AuthorityOptions,
  upstream: UpstreamAuthority,
  key: KeyObject,
  keyName: string,
  now: number,
): Promise<AuthorityRecord> {
  const uri = makeSpiffeId(trustDomain, '');
  const minted = await upstream.mintCa(buildCsr({ key, uris: [uri] }), ttl);
  const [own, ...above] = minted.chain.map(readCertificate);
  if (own === undefined) throw notOurs('it returned no certificate');
  checkIntermediate(own, key, uri);
  const roots = minted.roots.map(readCertificate);
  const path = verifyChain(own, above, roots, { now });
  const root = path.at(-1);
  if (root === undefined) throw notOurs('it returned no root');
  const others = roots.filter((other) => other !== root);
  return {
    ...record(own, keyName, now),
    // What it signs is worth nothing once anything above it has ended.
    expiresAt: Math.min(...path.map(({ notAfter }) => notAfter)),
    chain: [own, ...above].map(base64),
    published: base64(root),
    ...(others.length > 0 ? { otherRoots: others.map(base64) } : {}),
    upstreamAuthorityId: subjectKeyId(root),
  };
}

function checkIntermediate(own: Certificate, key: KeyObject, uri: string): void {
  if (!exportSpki(key).equals(own.spki)) throw notOurs('it certified another key');
  const maySign = own.authority && (own.keyUsage & keyUsageBit.keyCertSign) !== 0;
  if (!maySign) throw notOurs('its certificate may not sign');
  if (own.uris.length !== 1 || own.uris[0] !== uri) throw notOurs(`its certificate does not name ${uri}`);
}

function record(own: Certificate, keyName: string, now: number): AuthorityRecord {
  return {
    id: subjectKeyId(own),
    purpose: 'x509',
    slot: 'prepared',
    tainted: false,
    keyName,
    chain: [],
    published: '',
    upstreamAuthorityId: '',
    issuedAt: now,
    expiresAt: own.notAfter,
  };
}

/** Undefined when the key is not that of the record: a key manager that forgot, or a restored backup. */
function signerOf(record: AuthorityRecord, key: KeyObject): X509Signer | undefined {
  const chain = record.chain.map((der) => Buffer.from(der, 'base64'));
  const [certificate] = chain;
  if (certificate === undefined || !exportSpki(key).equals(readCertificate(certificate).spki))
    return undefined;
  const intermediates = record.upstreamAuthorityId === '' ? [] : chain;
  return { id: record.id, key, certificate, intermediates, notAfter: record.expiresAt };
}

export function subjectKeyId(certificate: Certificate): string {
  const id = certificate.subjectKeyId ?? keyIdentifier(readSpki(certificate.spki).keyBits);
  return Buffer.from(id).toString('hex');
}

function positiveSerial(): Buffer {
  const serial = randomBytes(16);
  return serial.some((byte) => byte !== 0) ? serial : positiveSerial();
}

function base64({ der }: Certificate): string {
  return Buffer.from(der.buffer, der.byteOffset, der.length).toString('base64');
}

function notOurs(why: string): TouchmarkError {
  return new TouchmarkError(
    'upstream_authority_invalid',
    `the upstream authority's answer is refused: ${why}`,
  );
}
