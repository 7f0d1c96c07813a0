/** What is published: the own bundle out of authority records and appended authorities, and stored bundles. Pure. */
import type { Bundle, JwtAuthority, X509Authority } from '../../spiffe/bundle.js';
import type { TrustDomain } from '../../spiffe/id.js';
import { readCertificate } from '../../x509/read-certificate.js';
import type { AuthorityRecord, BundleRecord } from '../model.js';

export function emptyBundleRecord(trustDomain: string, refreshHint: number): BundleRecord {
  return { trustDomain, x509Authorities: [], jwtAuthorities: [], refreshHint, sequence: '0' };
}

/** Every authority of which something may still be accepted, in the order in which they were made; then what was appended. */
export function ownBundle(
  trustDomain: TrustDomain,
  records: readonly AuthorityRecord[],
  stored: BundleRecord,
): Bundle {
  const appended = bundleFromRecord(trustDomain, stored);
  return {
    ...appended,
    x509Authorities: uniqueX509([...records.flatMap(publishedX509), ...appended.x509Authorities]),
    jwtAuthorities: uniqueJwt([...records.flatMap(publishedJwt), ...appended.jwtAuthorities]),
  };
}

export function bundleFromRecord(trustDomain: TrustDomain, record: BundleRecord): Bundle {
  return {
    trustDomain,
    x509Authorities: record.x509Authorities.map(({ der, tainted }) => ({ der: bytes(der), tainted })),
    jwtAuthorities: record.jwtAuthorities.map((jwt) => ({ ...jwt, spki: bytes(jwt.spki) })),
    refreshHint: record.refreshHint,
    sequence: BigInt(record.sequence),
  };
}

/** The sequence may stay exactly when this does. */
export function sameContent(a: Bundle, b: Bundle): boolean {
  return contentOf(a) === contentOf(b);
}

/** The record with further authorities; one that stands in `published` already is left out. */
export function withAppended(
  record: BundleRecord,
  published: Bundle,
  additions: Pick<Bundle, 'x509Authorities' | 'jwtAuthorities'>,
): BundleRecord {
  const ders = new Set(published.x509Authorities.map(({ der }) => base64(der)));
  const keyIds = new Set(published.jwtAuthorities.map(({ keyId }) => keyId));
  const x509 = uniqueX509(additions.x509Authorities).filter(({ der }) => !ders.has(base64(der)));
  const jwt = uniqueJwt(additions.jwtAuthorities).filter(({ keyId }) => !keyIds.has(keyId));
  return {
    ...record,
    x509Authorities: [
      ...record.x509Authorities,
      ...x509.map(({ der, tainted }) => ({ der: base64(der), tainted })),
    ],
    jwtAuthorities: [...record.jwtAuthorities, ...jwt.map((key) => ({ ...key, spki: base64(key.spki) }))],
  };
}

/** The record without what has ended by `now` (Unix seconds); the same object when nothing has. */
export function withoutEnded(record: BundleRecord, now: number): BundleRecord {
  const x509Authorities = record.x509Authorities.filter(({ der }) => endOf(der) > now);
  const jwtAuthorities = record.jwtAuthorities.filter(({ expiresAt }) => expiresAt === 0 || expiresAt > now);
  const same =
    x509Authorities.length === record.x509Authorities.length &&
    jwtAuthorities.length === record.jwtAuthorities.length;
  return same ? record : { ...record, x509Authorities, jwtAuthorities };
}

/** When each appended authority ends, Unix seconds. */
export function endsOf(record: BundleRecord): number[] {
  const jwt = record.jwtAuthorities.flatMap(({ expiresAt }) => (expiresAt === 0 ? [] : [expiresAt]));
  return [...record.x509Authorities.map(({ der }) => endOf(der)), ...jwt];
}

function endOf(der: string): number {
  return readCertificate(bytes(der)).notAfter;
}

function publishedX509(record: AuthorityRecord): X509Authority[] {
  if (record.purpose !== 'x509') return [];
  const others = (record.otherRoots ?? []).map((der) => ({ der: bytes(der), tainted: false }));
  return [{ der: bytes(record.published), tainted: record.tainted }, ...others];
}

function publishedJwt(record: AuthorityRecord): JwtAuthority[] {
  if (record.purpose !== 'jwt') return [];
  const { id, published, expiresAt, tainted } = record;
  return [{ keyId: id, spki: bytes(published), expiresAt, tainted }];
}

/** Where records disagree, tainted wins. */
function uniqueX509(authorities: readonly X509Authority[]): X509Authority[] {
  const byDer = new Map<string, X509Authority>();
  for (const authority of authorities) {
    const key = base64(authority.der);
    const tainted = authority.tainted || byDer.get(key)?.tainted === true;
    byDer.set(key, { der: authority.der, tainted });
  }
  return [...byDer.values()];
}

/** The first holder of a key ID keeps it: nobody can append over an authority of ours. */
function uniqueJwt(authorities: readonly JwtAuthority[]): JwtAuthority[] {
  const byId = new Map<string, JwtAuthority>();
  for (const authority of authorities) {
    if (!byId.has(authority.keyId)) byId.set(authority.keyId, authority);
  }
  return [...byId.values()];
}

function contentOf({ x509Authorities, jwtAuthorities, refreshHint }: Bundle): string {
  return JSON.stringify([
    x509Authorities.map(({ der, tainted }) => [base64(der), tainted]),
    jwtAuthorities.map(({ keyId, spki, expiresAt, tainted }) => [keyId, base64(spki), expiresAt, tainted]),
    refreshHint,
  ]);
}

function base64(data: Uint8Array): string {
  return Buffer.from(data.buffer, data.byteOffset, data.length).toString('base64');
}

function bytes(text: string): Uint8Array {
  return Buffer.from(text, 'base64');
}
