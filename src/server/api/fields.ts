import { TouchmarkError } from '../../errors.js';
import { parseSpiffeId, pathOf, type SpiffeId, type TrustDomain, trustDomainOf } from '../../spiffe/id.js';
import type { SPIFFEID } from '../../wire/gen/spire/types_pb.js';
import { spiffeIdFromWire, trustDomainFromWire } from '../../wire/id.js';
import { named } from '../../wire/invalid.js';
import { isAgentId } from '../access/caller.js';

/** Readers of single request fields; each names its field in what it throws. */

const MAX_AUDIENCE = 100;
const MAX_AUDIENCE_CHARS = 2048;

function invalid(field: string, why: string): TouchmarkError {
  return new TouchmarkError('argument_invalid', `${field}: ${why}`);
}

export function memberFromWire(field: string, id: SPIFFEID | undefined, domain: TrustDomain): SpiffeId {
  const read = spiffeIdFromWire(id, field);
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

export function foreignDomainFromWire(field: string, text: string, own: TrustDomain): TrustDomain {
  const domain = trustDomainFromWire(text, field);
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
