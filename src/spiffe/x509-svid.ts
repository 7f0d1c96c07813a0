import { TouchmarkError } from '../errors.js';
import { verifyChain } from '../x509/chain.js';
import { splitDer } from '../x509/der.js';
import { keyUsageBit } from '../x509/extensions.js';
import { oidHex } from '../x509/oid.js';
import { type Certificate, readCertificate } from '../x509/read-certificate.js';
import type { Bundle } from './bundle.js';
import { isMemberOf, parseSpiffeId, pathOf, type SpiffeId, type TrustDomain, trustDomainOf } from './id.js';

/** A leaf certificate that names a workload, with what was presented beside it. */
export interface X509Svid {
  readonly id: SpiffeId;
  readonly leaf: Certificate;
  /** As presented: leaf first. */
  readonly chain: readonly Certificate[];
}

/** Where the bundle of a trust domain comes from: one bundle, or a look-up by domain. */
export type BundleSource = Bundle | ((domain: TrustDomain) => Bundle | undefined);

const MAX_CHAIN = 16;

/**
 * Reads an X.509-SVID and its chain (X509-SVID sections 2-4 and 5.2): concatenated DER or a list, leaf first.
 * Establishes the form only. **Nothing is authenticated**: `verifyX509Svid` does that.
 * @throws TouchmarkError `x509_svid_invalid`, `der_invalid`, `certificate_invalid`
 */
export function parseX509Svid(chain: Uint8Array | readonly Uint8Array[]): X509Svid {
  const parts = chain instanceof Uint8Array ? splitDer(chain, MAX_CHAIN) : chain;
  if (parts.length > MAX_CHAIN) throw invalid(`the chain is longer than ${MAX_CHAIN} certificates`);
  const certificates = parts.map(readCertificate);
  const [leaf, ...rest] = certificates;
  if (leaf === undefined) throw invalid('there is no certificate');
  const id = checkLeaf(leaf);
  for (const certificate of rest) checkIntermediate(certificate);
  return { id, leaf, chain: certificates };
}

/**
 * Reads an X.509-SVID and validates its path to the bundle of **its own** trust domain, and to no other (X509-SVID section 5,
 * Workload API section 4.6). Does not establish that the peer holds the key (TLS does), nor that it is the peer that was
 * wanted (the caller's authorisation does), nor that nothing was revoked.
 * @param now Unix seconds
 * @throws TouchmarkError `x509_svid_invalid`, `chain_untrusted`, `bundle_missing`, `der_invalid`, `certificate_invalid`
 */
export function verifyX509Svid(
  chain: Uint8Array | readonly Uint8Array[],
  bundles: BundleSource,
  now: number,
): X509Svid {
  const svid = parseX509Svid(chain);
  const bundle = bundleFor(svid.id, bundles);
  verifyChain(svid.leaf, svid.chain.slice(1), authoritiesOf(bundle), { now });
  return svid;
}

/** What the issuer meant to sign; times in Unix seconds. */
export interface IssuedSvid {
  readonly id: SpiffeId;
  readonly dnsNames: readonly string[];
  readonly spki: Uint8Array;
  readonly notBefore: number;
  readonly notAfter: number;
  /** Issuer's subject, DER, and its subject key identifier. */
  readonly issuerDer: Uint8Array;
  readonly issuerKeyId: Uint8Array;
}

/**
 * Reads back what was just signed and compares every field with what was meant. The signature itself is checked once for each
 * signing key that is loaded, not for each leaf.
 * @throws TouchmarkError `x509_svid_invalid`
 */
export function checkIssuedSvid(der: Uint8Array, meant: IssuedSvid): Certificate {
  const leaf = readCertificate(der);
  const id = checkLeaf(leaf);
  const same: ReadonlyArray<readonly [what: string, equal: boolean]> = [
    ['SPIFFE ID', id === meant.id],
    [
      'DNS names',
      JSON.stringify(leaf.dnsNames) === JSON.stringify(meant.dnsNames) && leaf.otherKinds.length === 0,
    ],
    ['public key', Buffer.compare(leaf.spki, meant.spki) === 0],
    ['begin', leaf.notBefore === meant.notBefore],
    ['end', leaf.notAfter === meant.notAfter],
    ['issuer', Buffer.compare(leaf.issuerDer, meant.issuerDer) === 0],
    ['issuer key', Buffer.compare(leaf.authorityKeyId ?? new Uint8Array(), meant.issuerKeyId) === 0],
    ['criticality of its key usage', leaf.keyUsageCritical],
    ['basic constraints', leaf.basicConstraintsPresent],
    ['purposes', leaf.extendedKeyUsage !== undefined],
    ['criticality of its name', leaf.altNamesCritical || leaf.subjectDer.length > 2],
  ];
  for (const [what, equal] of same)
    if (!equal) throw invalid(`the issued certificate differs in its ${what}`);
  return leaf;
}

/**
 * What a validator must check of a leaf itself (X509-SVID section 5.2). Key usage that is not critical is accepted, as other
 * validators do (decision D-3), an empty subject with an uncritical name too.
 */
export function checkLeaf(leaf: Certificate): SpiffeId {
  const [uri, ...more] = leaf.uris;
  if (uri === undefined) throw invalid('the leaf has no URI');
  if (more.length > 0) throw invalid(`the leaf has ${leaf.uris.length} URIs instead of one`);
  const id = parseUri(uri);
  if (pathOf(id) === '') throw invalid(`the leaf's SPIFFE ID ${id} has no path`);
  if (leaf.authority) throw invalid('the leaf is marked as a certificate authority');
  if (!leaf.keyUsagePresent) throw invalid('the leaf has no key usage');
  if ((leaf.keyUsage & keyUsageBit.digitalSignature) === 0)
    throw invalid('the leaf may not sign (key usage)');
  if ((leaf.keyUsage & keyUsageBit.keyCertSign) !== 0)
    throw invalid('the leaf may sign certificates (key usage)');
  if ((leaf.keyUsage & keyUsageBit.crlSign) !== 0)
    throw invalid('the leaf may sign revocation lists (key usage)');
  const purposes = leaf.extendedKeyUsage;
  if (purposes && !(purposes.includes(oidHex.serverAuth) && purposes.includes(oidHex.clientAuth))) {
    throw invalid('the leaf does not serve for both sides of TLS (extended key usage)');
  }
  return id;
}

/**
 * The authorities of a bundle, read. One that cannot be read is refused rather than passed over: a bundle is checked when it
 * enters, so a damaged one here means that something went wrong.
 */
export function authoritiesOf(bundle: Bundle): readonly Certificate[] {
  const known = readAuthorities.get(bundle);
  if (known !== undefined) return known;
  const read = bundle.x509Authorities.map(({ der }) => readCertificate(der));
  readAuthorities.set(bundle, read);
  return read;
}

const readAuthorities = new WeakMap<Bundle, readonly Certificate[]>();

export function bundleFor(id: SpiffeId, bundles: BundleSource): Bundle {
  const domain = trustDomainOf(id);
  const bundle = typeof bundles === 'function' ? bundles(domain) : bundles;
  if (bundle === undefined || !isMemberOf(id, bundle.trustDomain)) {
    throw new TouchmarkError(
      'bundle_missing',
      `there is no bundle for trust domain ${JSON.stringify(domain)}`,
    );
  }
  return bundle;
}

function checkIntermediate(certificate: Certificate): void {
  if (!certificate.authority) throw invalid('an intermediate is not marked as a certificate authority');
  if ((certificate.keyUsage & keyUsageBit.keyCertSign) === 0) {
    throw invalid('an intermediate may not sign certificates (key usage)');
  }
}

function parseUri(uri: string): SpiffeId {
  try {
    return parseSpiffeId(uri);
  } catch (cause) {
    throw new TouchmarkError(
      'x509_svid_invalid',
      `the leaf's URI ${JSON.stringify(uri.slice(0, 100))} is no SPIFFE ID`,
      {
        cause,
      },
    );
  }
}

function invalid(why: string): TouchmarkError {
  return new TouchmarkError('x509_svid_invalid', why);
}
