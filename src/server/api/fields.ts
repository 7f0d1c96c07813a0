import { TouchmarkError } from '../../errors.js';
import {
  makeSpiffeId,
  parseSpiffeId,
  parseTrustDomain,
  pathOf,
  type SpiffeId,
  type TrustDomain,
  trustDomainOf,
} from '../../spiffe/id.js';
import type { SPIFFEID } from '../../wire/gen/spire/types_pb.js';
import { isAgentId } from '../caller.js';

/** Readers of single request fields; each names its field in what it throws. */

const MAX_AUDIENCE = 100;
const MAX_AUDIENCE_CHARS = 2048;

function invalid(field: string, why: string): TouchmarkError {
  return new TouchmarkError('argument_invalid', `${field}: ${why}`);
}

/** Reads with `read`, and names the field in what it throws. */
function named<T>(field: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof TouchmarkError)) throw cause;
    throw new TouchmarkError('argument_invalid', `${field}: ${cause.message}`, { cause });
  }
}

/** Any SPIFFE ID with its trust domain and path given apart. */
export function idFromWire(field: string, id: SPIFFEID | undefined): SpiffeId {
  if (id === undefined) throw invalid(field, 'it is missing');
  // Without this the path could lengthen the domain: `example.or` and `g/x`.
  if (id.path !== '' && !id.path.startsWith('/'))
    throw invalid(field, 'its path does not begin with a slash');
  return named(field, () => {
    // Older clients write the domain as spiffe://domain.
    const domain = id.trustDomain.startsWith('spiffe://') ? id.trustDomain.slice(9) : id.trustDomain;
    return makeSpiffeId(parseTrustDomain(domain), id.path);
  });
}

export function memberFromWire(field: string, id: SPIFFEID | undefined, domain: TrustDomain): SpiffeId {
  const read = idFromWire(field, id);
  if (trustDomainOf(read) !== domain) throw invalid(field, `${read} is not in trust domain ${domain}`);
  return read;
}

export function agentFromWire(field: string, id: SPIFFEID | undefined, domain: TrustDomain): SpiffeId {
  const read = memberFromWire(field, id, domain);
  if (!isAgentId(read)) throw invalid(field, `${read} is not the ID of an agent (/spire/agent/...)`);
  return read;
}

/** An identity that a workload may have: in the domain, with a path, and not one of the reserved ones. */
export function workloadId(field: string, text: string, domain: TrustDomain): SpiffeId {
  const id = named(field, () => parseSpiffeId(text));
  if (trustDomainOf(id) !== domain) throw invalid(field, `${id} is not in trust domain ${domain}`);
  const path = pathOf(id);
  if (path === '') throw invalid(field, `${id} has no path`);
  if (path === '/spire' || path.startsWith('/spire/')) throw invalid(field, `${id} is reserved`);
  return id;
}

/** A bare name, or spiffe://name as some clients write it. */
export function domainFromWire(field: string, text: string): TrustDomain {
  return named(field, () => parseTrustDomain(text.startsWith('spiffe://') ? text.slice(9) : text));
}

export function foreignDomainFromWire(field: string, text: string, own: TrustDomain): TrustDomain {
  const domain = domainFromWire(field, text);
  if (domain === own) throw invalid(field, `${domain} is this server's own trust domain`);
  return domain;
}

/** 0 takes the default. */
export function checkTtl(field: string, ttl: number): void {
  if (ttl < 0) throw invalid(field, `${ttl} is below zero`);
}

export function checkAudience(field: string, audience: readonly string[]): void {
  if (audience.length === 0) throw invalid(field, 'it is empty');
  checkLength(field, audience, MAX_AUDIENCE);
  for (const one of audience) {
    if (one === '') throw invalid(field, 'it holds an empty string');
    if (one.length > MAX_AUDIENCE_CHARS)
      throw invalid(field, `one is longer than ${MAX_AUDIENCE_CHARS} characters`);
  }
}

export function checkLength(field: string, list: readonly unknown[], most: number): void {
  if (list.length > most) throw invalid(field, `${list.length} items are more than ${most}`);
}

export function checkPresent<T>(field: string, value: T | undefined): T {
  if (value === undefined) throw invalid(field, 'it is missing');
  return value;
}
