import { createPublicKey, type KeyObject } from 'node:crypto';
import { TouchmarkError } from '../errors.js';
import { keyUsageBit } from './extensions.js';
import { checkNameConstraints } from './name-constraints.js';
import type { Certificate } from './read-certificate.js';
import { verifyDer } from './signature.js';

export interface ChainOptions {
  /** Unix seconds. */
  readonly now: number;
}

const MAX_CHAIN = 16;
/** Of one validation; bounds what a crafted set of certificates with equal names can cost. */
const MAX_SIGNATURES = 32;

interface Search {
  readonly presented: readonly Certificate[];
  readonly anchors: readonly Certificate[];
  readonly now: number;
  signatures: number;
  /** The most telling reason so far: what was wrong on the longest path tried. */
  reason: { readonly depth: number; readonly error: TouchmarkError };
}

/**
 * Finds and validates a path from a leaf to one of the anchors (RFC 5280 section 6, without policies and revocation): every
 * signature, every validity period including the anchor's, issuer names, CA flags, key usage, path lengths, name constraints
 * and unknown critical extensions. Intermediates are taken from `presented` only, in any order.
 *
 * Does not establish that the leaf is an SVID, nor whose trust domain the anchors belong to, nor that nothing was revoked.
 * @returns the path, leaf first, anchor last
 * @throws TouchmarkError `chain_untrusted`
 */
export function verifyChain(
  leaf: Certificate,
  presented: readonly Certificate[],
  anchors: readonly Certificate[],
  options: ChainOptions,
): Certificate[] {
  if (presented.length >= MAX_CHAIN) throw untrusted(`the chain is longer than ${MAX_CHAIN} certificates`);
  checkCurrent(leaf, options.now, 'the leaf');
  const search: Search = {
    presented,
    anchors,
    now: options.now,
    signatures: 0,
    reason: {
      depth: -1,
      error: untrusted('no authority of the bundle signed the chain, or an intermediate is missing'),
    },
  };
  const path = extend([leaf], search);
  if (path === undefined) throw search.reason.error;
  return path;
}

/** Depth first: anchors before intermediates; a candidate that fails leaves its reason behind and the next is tried. */
function extend(path: readonly Certificate[], search: Search): Certificate[] | undefined {
  const child = path.at(-1);
  if (child === undefined || path.length > MAX_CHAIN) return undefined;
  for (const anchor of search.anchors) {
    if (!mayHaveIssued(anchor, child) || !accepts(path, child, anchor, true, search)) continue;
    const whole = [...path, anchor];
    if (namesPermitted(whole, search)) return whole;
  }
  for (const issuer of search.presented) {
    if (path.includes(issuer) || !mayHaveIssued(issuer, child)) continue;
    if (!accepts(path, child, issuer, false, search)) continue;
    const found = extend([...path, issuer], search);
    if (found !== undefined) return found;
  }
  return undefined;
}

function accepts(
  path: readonly Certificate[],
  child: Certificate,
  issuer: Certificate,
  isAnchor: boolean,
  search: Search,
): boolean {
  return passes(path.length, search, () => {
    checkIssuer(path, issuer, isAnchor, search.now);
    search.signatures += 1;
    if (search.signatures > MAX_SIGNATURES) throw untrusted('the chain needs too many signature checks');
    if (!hasSigned(issuer, child)) throw untrusted('a signature in the chain is not good');
  });
}

/** Name constraints along a path whose signatures lead to an anchor: what a stranger writes into them is never worked through. */
function namesPermitted(whole: readonly Certificate[], search: Search): boolean {
  return passes(whole.length, search, () => {
    for (const [at, { nameConstraints }] of whole.entries()) {
      if (nameConstraints === undefined) continue;
      for (const [index, below] of whole.slice(0, at).entries()) {
        if (index === 0 || !isSelfIssued(below)) checkNameConstraints(nameConstraints, below);
      }
    }
  });
}

/** Whether a check passes; if not, its reason is kept when no longer path has one. */
function passes(depth: number, search: Search, check: () => void): boolean {
  try {
    check();
    return true;
  } catch (error) {
    if (!(error instanceof TouchmarkError)) throw error;
    const told = error.code === 'chain_untrusted' ? error : untrusted(error.message);
    if (depth > search.reason.depth) search.reason = { depth, error: told };
    return false;
  }
}

/** What an authority must be to stand above this path. */
function checkIssuer(
  path: readonly Certificate[],
  issuer: Certificate,
  isAnchor: boolean,
  now: number,
): void {
  const who = isAnchor ? 'the authority' : 'an intermediate';
  checkCurrent(issuer, now, who);
  if (!issuer.authority) throw untrusted(`${who} is not marked as a certificate authority`);
  const mustSayUsage = issuer.keyUsagePresent || !isAnchor;
  if (mustSayUsage && (issuer.keyUsage & keyUsageBit.keyCertSign) === 0) {
    throw untrusted(`${who} may not sign certificates (key usage)`);
  }
  const between = path.slice(1).filter((certificate) => !isSelfIssued(certificate)).length;
  if (issuer.pathLength !== undefined && between > issuer.pathLength) {
    throw untrusted(`${who} allows ${issuer.pathLength} intermediates below it, there are ${between}`);
  }
}

function checkCurrent(certificate: Certificate, now: number, who: string): void {
  if (certificate.unknownCritical.length > 0) {
    throw untrusted(`${who} has the unknown critical extension ${certificate.unknownCritical.join(', ')}`);
  }
  if (now < certificate.notBefore)
    throw untrusted(`${who} is not valid before ${iso(certificate.notBefore)}`);
  if (now > certificate.notAfter) throw untrusted(`${who} expired at ${iso(certificate.notAfter)}`);
}

function mayHaveIssued(issuer: Certificate, child: Certificate): boolean {
  if (Buffer.compare(issuer.subjectDer, child.issuerDer) !== 0) return false;
  const { authorityKeyId } = child;
  const { subjectKeyId } = issuer;
  return !authorityKeyId || !subjectKeyId || Buffer.compare(authorityKeyId, subjectKeyId) === 0;
}

function isSelfIssued(certificate: Certificate): boolean {
  return Buffer.compare(certificate.subjectDer, certificate.issuerDer) === 0;
}

/** Whether this certificate's key made the other's signature. Says nothing about names, times or permission. */
export function hasSigned(
  issuer: Certificate,
  child: Pick<Certificate, 'signatureAlgorithm' | 'tbs' | 'signature'>,
): boolean {
  return verifyDer(child.signatureAlgorithm, child.tbs, authorityKey(issuer), child.signature);
}

const keys = new WeakMap<Certificate, KeyObject>();

function authorityKey(issuer: Certificate): KeyObject {
  const known = keys.get(issuer);
  if (known !== undefined) return known;
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(issuer.spki), format: 'der', type: 'spki' });
  } catch (cause) {
    throw new TouchmarkError('chain_untrusted', 'the key of an authority cannot be read', { cause });
  }
  checkKey(key);
  keys.set(issuer, key);
  return key;
}

const curves: readonly (string | undefined)[] = ['prime256v1', 'secp384r1', 'secp521r1'];
const MAX_EXPONENT = 2n ** 32n;

/**
 * Foreign authorities may have kinds of key that we issue nothing for, but none that anybody could sign with (an exponent of 1)
 * and none with which a check takes long: it is made before the authority itself is known to be one.
 */
function checkKey({ asymmetricKeyType, asymmetricKeyDetails = {} }: KeyObject): void {
  const { modulusLength, publicExponent = 0n, namedCurve } = asymmetricKeyDetails;
  if (modulusLength !== undefined && (modulusLength < 2048 || modulusLength > 8192)) {
    throw untrusted(`the RSA key of an authority has ${modulusLength} bits`);
  }
  if (modulusLength !== undefined && (publicExponent < 3n || publicExponent > MAX_EXPONENT)) {
    throw untrusted('the RSA key of an authority has an unusable exponent');
  }
  if (asymmetricKeyType === 'ec' && !curves.includes(namedCurve)) {
    throw untrusted('the key of an authority is on an unusual curve');
  }
}

function iso(unixSeconds: number): string {
  return new Date(unixSeconds * 1000).toISOString();
}

function untrusted(why: string): TouchmarkError {
  return new TouchmarkError('chain_untrusted', why);
}
