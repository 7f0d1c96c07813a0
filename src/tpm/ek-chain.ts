import { TouchmarkError } from '../errors.js';
import { describeName } from '../x509/name.js';
import type { Anchor, AnchorSet } from './anchors.js';
import type { TpmCertificate } from './certificate.js';
import {
  ANY_USAGE,
  basicConstraintsOf,
  checkCritical,
  extendedKeyUsageOf,
  extensionOid,
  keyUsageOf,
  tcgUsage,
  usageBit,
} from './certificate-extensions.js';
import { isIssuedBy, schemeOf } from './certificate-signature.js';
import { isWeakRsa } from './weak-rsa.js';

export interface EkChain {
  anchor: Anchor;
  /** From the endorsement key's certificate upwards, the anchor's excluded. */
  path: TpmCertificate[];
}

/** Longest path, the endorsement key's certificate and the anchor included. */
const MAX_DEPTH = 8;
/** Signatures verified for one chain, whatever is supplied: bounds the work a stranger can cause. */
const MAX_VERIFICATIONS = 24;
export const MAX_SUPPLIED = 16;

/** Extensions of authorities that may be critical. Name constraints are not understood, so they must not be. */
const understood = [
  extensionOid.basicConstraints,
  extensionOid.keyUsage,
  extensionOid.extendedKeyUsage,
  extensionOid.certificatePolicies,
  extensionOid.authorityKeyId,
  extensionOid.subjectKeyId,
];

interface Search {
  anchors: AnchorSet;
  supplied: readonly TpmCertificate[];
  verifications: number;
  /** Why the most promising path ended. */
  problem: string;
}

/**
 * Builds a chain from an EK certificate to an anchor. What the chip supplies is used between them and never believed by itself.
 * Checks signatures, authority, key usage, path lengths and critical extensions.
 * Does NOT check dates (checkValidity) and does NOT establish that the chip is one of ours: a chain proves a genuine chip.
 * @param supplied certificates from the chip's NV, at most 16
 */
export function buildEkChain(
  leaf: TpmCertificate,
  supplied: readonly TpmCertificate[],
  anchors: AnchorSet,
): EkChain {
  if (supplied.length > MAX_SUPPLIED) {
    const message = `${supplied.length} chain certificates were supplied, at most ${MAX_SUPPLIED} are read`;
    throw new TouchmarkError('ek_chain_too_large', message);
  }
  const search: Search = { anchors, supplied, verifications: 0, problem: unknownIssuer(leaf) };
  const chain = climb([leaf], search);
  if (chain) return chain;
  throw new TouchmarkError('ek_chain_untrusted', `the certificate leads to no anchor: ${search.problem}`);
}

function climb(path: readonly TpmCertificate[], search: Search): EkChain | undefined {
  const child = path.at(-1);
  if (!child) return undefined;
  for (const anchor of search.anchors.anchorsFor(child)) {
    if (accepts(anchor.certificate, path, search) && allowsSha1(anchor, path, search))
      return { anchor, path: [...path] };
  }
  if (path.length >= MAX_DEPTH - 1) {
    search.problem = `it is longer than ${MAX_DEPTH} certificates`;
    return undefined;
  }
  for (const issuer of candidates(child, path, search)) {
    if (!accepts(issuer, path, search)) continue;
    search.problem = unknownIssuer(issuer);
    const chain = climb([...path, issuer], search);
    if (chain) return chain;
  }
  return undefined;
}

function candidates(
  child: TpmCertificate,
  path: readonly TpmCertificate[],
  search: Search,
): TpmCertificate[] {
  const named = search.supplied.filter(({ subject }) => Buffer.from(subject).equals(child.issuer));
  const unique = new Map(
    [...search.anchors.intermediatesFor(child), ...named].map((one) => [one.fingerprint, one]),
  );
  return [...unique.values()].filter(({ fingerprint }) =>
    path.every((below) => below.fingerprint !== fingerprint),
  );
}

/** Whether this issuer may and did sign the last certificate of the path. */
function accepts(issuer: TpmCertificate, path: readonly TpmCertificate[], search: Search): boolean {
  const child = path.at(-1);
  if (!child) return false;
  try {
    checkIssuer(issuer, path.length - 1);
    if (search.verifications >= MAX_VERIFICATIONS)
      throw refused(issuer, 'is one too many: there are too many candidates');
    search.verifications += 1;
    if (isIssuedBy(child, issuer)) return true;
    throw refused(issuer, 'did not make the signature below it');
  } catch (error) {
    if (!(error instanceof TouchmarkError)) throw error;
    search.problem = error.message;
    return false;
  }
}

/** @param below certificates of authorities between this one and the endorsement key's */
function checkIssuer(issuer: TpmCertificate, below: number): void {
  checkCritical(issuer, understood);
  const constraints = basicConstraintsOf(issuer);
  if (!constraints?.authority) throw refused(issuer, 'is not an authority');
  if (constraints.pathLength !== undefined && constraints.pathLength < below) {
    throw refused(issuer, `may have ${constraints.pathLength} authorities below it, not ${below}`);
  }
  if (isWeakRsa(issuer.key)) throw refused(issuer, 'has a key that can be computed (CVE-2017-15361)');
  const usage = keyUsageOf(issuer);
  if (usage !== undefined && (usage & usageBit.keyCertSign) === 0)
    throw refused(issuer, 'may not sign certificates');
  const purposes = extendedKeyUsageOf(issuer);
  if (!purposes || purposes.includes(tcgUsage.endorsementKey) || purposes.includes(ANY_USAGE)) return;
  throw refused(issuer, 'is an authority for other things than endorsement keys');
}

function allowsSha1(anchor: Anchor, path: readonly TpmCertificate[], search: Search): boolean {
  if (anchor.sha1 || path.every((one) => schemeOf(one).hash !== 'sha1')) return true;
  search.problem = `it holds a SHA-1 signature, which the anchor ${JSON.stringify(anchor.name)} does not allow`;
  return false;
}

function unknownIssuer(certificate: TpmCertificate): string {
  return `its issuer ${JSON.stringify(nameText(certificate.issuer))} is not known`;
}

function refused(issuer: TpmCertificate, what: string): TouchmarkError {
  return new TouchmarkError('ek_chain_untrusted', `${JSON.stringify(nameText(issuer.subject))} ${what}`);
}

/** Names come from strangers and go into messages: bounded, printable. */
function nameText(name: Uint8Array): string {
  try {
    return describeName(name)
      .slice(0, 128)
      .replace(/[^\x20-\x7e]/g, '?');
  } catch {
    return 'a name that cannot be read';
  }
}
