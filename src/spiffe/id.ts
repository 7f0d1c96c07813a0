import { TouchmarkError } from '../errors.js';

declare const brand: unique symbol;

/** A bare trust domain name, `example.org`: checked, at most 255 bytes. */
export type TrustDomain = string & { readonly [brand]: 'TrustDomain' };

/** A whole SPIFFE ID, `spiffe://example.org/path`: checked, at most 2048 bytes, byte for byte as it was written. */
export type SpiffeId = string & { readonly [brand]: 'SpiffeId' };

const SCHEME = 'spiffe://';
const MAX_ID_BYTES = 2048;
const MAX_TRUST_DOMAIN_BYTES = 255;

/**
 * Reads a bare trust domain name (SPIFFE-ID section 2.1). Strict: no scheme, no upper case, nothing is normalised.
 * @throws TouchmarkError `trust_domain_invalid`
 */
export function parseTrustDomain(text: string): TrustDomain {
  if (text.length === 0) throw invalidDomain(text, 'it is empty');
  if (text.length > MAX_TRUST_DOMAIN_BYTES) throw invalidDomain(text, 'it is longer than 255 bytes');
  if (!/^[a-z0-9._-]+$/.test(text)) throw invalidDomain(text, 'it has a character outside a-z 0-9 . - _');
  return text as TrustDomain;
}

/** Reads what an operator typed: with or without `spiffe://`, in any case. For command lines and configuration only. */
export function trustDomainFromOperator(text: string): TrustDomain {
  const lower = text.trim().toLowerCase();
  return parseTrustDomain(lower.startsWith(SCHEME) ? lower.slice(SCHEME.length) : lower);
}

/**
 * Reads a SPIFFE ID (SPIFFE-ID section 2). Never through `URL`, which rewrites what it reads.
 * @throws TouchmarkError `spiffe_id_invalid`
 */
export function parseSpiffeId(text: string): SpiffeId {
  if (!text.startsWith(SCHEME)) throw invalidId(text, 'it does not begin with spiffe://');
  if (text.length > MAX_ID_BYTES) throw invalidId(text, 'it is longer than 2048 bytes');
  const slash = text.indexOf('/', SCHEME.length);
  const domain = slash === -1 ? text.slice(SCHEME.length) : text.slice(SCHEME.length, slash);
  try {
    parseTrustDomain(domain);
  } catch (cause) {
    throw new TouchmarkError('spiffe_id_invalid', `SPIFFE ID ${quote(text)}: its trust domain is not valid`, {
      cause,
    });
  }
  if (slash !== -1) checkPath(text, text.slice(slash));
  return text as SpiffeId;
}

/**
 * Joins the parts. A path that is not empty begins with a slash; otherwise `.evil` would lengthen the domain.
 * @throws TouchmarkError `spiffe_id_invalid` when the path is not empty and not a valid `/a/b`
 */
export function makeSpiffeId(domain: TrustDomain, path: string): SpiffeId {
  if (path !== '' && !path.startsWith('/')) {
    throw invalidId(`${SCHEME}${domain}${path}`, 'its path does not begin with a slash');
  }
  return parseSpiffeId(`${SCHEME}${domain}${path}`);
}

export function trustDomainOf(id: SpiffeId): TrustDomain {
  const slash = id.indexOf('/', SCHEME.length);
  return (slash === -1 ? id.slice(SCHEME.length) : id.slice(SCHEME.length, slash)) as TrustDomain;
}

/** The path with its leading slash, or the empty string for a trust domain's own ID. */
export function pathOf(id: SpiffeId): string {
  const slash = id.indexOf('/', SCHEME.length);
  return slash === -1 ? '' : id.slice(slash);
}

export function isMemberOf(id: SpiffeId, domain: TrustDomain): boolean {
  return trustDomainOf(id) === domain;
}

function checkPath(id: string, path: string): void {
  for (const segment of path.slice(1).split('/')) {
    if (segment === '') throw invalidId(id, 'its path has an empty segment or ends in a slash');
    if (segment === '.' || segment === '..') throw invalidId(id, 'its path has a dot segment');
    if (!/^[A-Za-z0-9._-]+$/.test(segment)) {
      throw invalidId(id, 'its path has a character outside a-z A-Z 0-9 . - _');
    }
  }
}

function invalidId(text: string, why: string): TouchmarkError {
  return new TouchmarkError('spiffe_id_invalid', `SPIFFE ID ${quote(text)}: ${why}`);
}

function invalidDomain(text: string, why: string): TouchmarkError {
  return new TouchmarkError('trust_domain_invalid', `trust domain ${quote(text)}: ${why}`);
}

/** Hostile text, shortened and escaped so that it may stand in a message. */
function quote(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}
