import { messageOf, TouchmarkError } from '../errors.js';
import { checkDnsNames } from './dns-name.js';
import { canonicalSelectors, type Entry } from './entry.js';
import { isMemberOf, pathOf, type SpiffeId, type TrustDomain } from './id.js';
import type { Selector } from './selector.js';

const MAX_ID_CHARACTERS = 255;
const MAX_HINT_BYTES = 1024;
const MAX_SELECTORS = 256;
/** A path may be 4096 bytes long, and stands behind `path:`. */
const MAX_SELECTOR_BYTES = 4352;
const MAX_LIST = 256;
const MAX_TTL = 2 ** 31 - 1;

/**
 * Checks a registration entry by SPIRE's rules and gives it back in canonical form (sorted selectors). An empty ID is allowed:
 * the server gives one. Does not establish that bundles of `federatesWith` exist, nor that the entry is the only one of its kind.
 * @throws TouchmarkError `entry_invalid`, whose message names the field
 */
export function checkEntry(entry: Entry, trustDomain: TrustDomain): Entry {
  checkEntryId(entry.id);
  checkWorkloadId(entry.spiffeId, trustDomain);
  if (!isMemberOf(entry.parentId, trustDomain)) {
    throw invalid(`parent_id ${entry.parentId} is not in trust domain ${trustDomain}`);
  }
  if (entry.parentId === entry.spiffeId) throw invalid(`parent_id and spiffe_id are both ${entry.spiffeId}`);
  checkSelectors(entry);
  for (const [name, value] of [
    ['x509_svid_ttl', entry.x509SvidTtl],
    ['jwt_svid_ttl', entry.jwtSvidTtl],
    ['expires_at', entry.expiresAt],
  ] as const) {
    const most = name === 'expires_at' ? Number.MAX_SAFE_INTEGER : MAX_TTL;
    if (!Number.isInteger(value) || value < 0 || value > most) throw invalid(`${name} is ${value}`);
  }
  const hintBytes = Buffer.byteLength(entry.hint);
  if (hintBytes > MAX_HINT_BYTES) throw invalid(`hint has ${hintBytes} bytes, more than ${MAX_HINT_BYTES}`);
  checkNames(entry, trustDomain);
  return { ...entry, selectors: canonicalSelectors(entry.selectors) };
}

/**
 * Checks an ID for a workload: in the trust domain, with a path, and outside `/spire`, which is reserved for servers and nodes.
 * @throws TouchmarkError `entry_invalid`
 */
export function checkWorkloadId(id: SpiffeId, trustDomain: TrustDomain): void {
  if (!isMemberOf(id, trustDomain)) throw invalid(`spiffe_id ${id} is not in trust domain ${trustDomain}`);
  const path = pathOf(id);
  if (path === '') throw invalid(`spiffe_id ${id} has no path`);
  if (path === '/spire' || path.startsWith('/spire/'))
    throw invalid(`spiffe_id ${id} is below /spire, which is reserved`);
}

/** At most 255 characters out of A-Z a-z 0-9 . _ - */
export function checkEntryId(id: string): void {
  if (id.length > MAX_ID_CHARACTERS || !/^[A-Za-z0-9._-]*$/.test(id)) {
    throw invalid(
      `id ${JSON.stringify(id.slice(0, 64))} is not at most 255 characters out of A-Z a-z 0-9 . _ -`,
    );
  }
}

function checkSelectors(entry: Entry): void {
  const { selectors } = entry;
  if (selectors.length === 0) throw invalid('selectors is empty');
  if (selectors.length > MAX_SELECTORS) throw invalid(`selectors has more than ${MAX_SELECTORS} elements`);
  for (const selector of selectors) checkSelector(selector);
  checkMeasured(entry);
  if (!entry.storeSvid) return;
  if (new Set(selectors.map(({ type }) => type)).size > 1) {
    throw invalid('store_svid needs selectors of one type only');
  }
  if (entry.disableX509SvidPrefetch)
    throw invalid('store_svid cannot stand beside disable_x509_svid_prefetch');
}

/** That a binary was measured can be checked only of one whose digest is named. */
function checkMeasured({ selectors }: Entry): void {
  const binaries = selectors.filter(({ type }) => type === 'binary').map(({ value }) => value);
  for (const value of binaries) {
    if (value.startsWith('measured:') && value !== 'measured:true')
      throw invalid(`selectors has binary:${value.slice(0, 100)}; there is only binary:measured:true`);
    if (value.startsWith('sha256:') && !/^sha256:[0-9a-f]{64}$/.test(value))
      throw invalid(`selectors has binary:${value.slice(0, 100)}, which is not 64 lower-case hex digits`);
  }
  if (!binaries.includes('measured:true') || binaries.some((value) => value.startsWith('sha256:'))) return;
  throw invalid('selectors has binary:measured:true without the binary:sha256 that it is about');
}

function checkSelector({ type, value }: Selector): void {
  const shown = JSON.stringify(`${type}:${value}`.slice(0, 100));
  if (type === '' || type.includes(':') || value === '')
    throw invalid(`selectors has ${shown}, which is not type:value`);
  if (Buffer.byteLength(type) + Buffer.byteLength(value) > MAX_SELECTOR_BYTES) {
    throw invalid(`selectors has ${shown}, which is longer than ${MAX_SELECTOR_BYTES} bytes`);
  }
}

function checkNames(entry: Entry, trustDomain: TrustDomain): void {
  const { dnsNames, federatesWith } = entry;
  if (dnsNames.length > MAX_LIST) throw invalid(`dns_names has more than ${MAX_LIST} elements`);
  if (federatesWith.length > MAX_LIST) throw invalid(`federates_with has more than ${MAX_LIST} elements`);
  try {
    checkDnsNames(dnsNames);
  } catch (cause) {
    throw new TouchmarkError('entry_invalid', `entry: dns_names: ${messageOf(cause)}`, { cause });
  }
  if (federatesWith.includes(trustDomain))
    throw invalid(`federates_with has the own trust domain ${trustDomain}`);
  if (new Set(federatesWith).size < federatesWith.length)
    throw invalid('federates_with names a domain twice');
}

function invalid(why: string): TouchmarkError {
  return new TouchmarkError('entry_invalid', `entry: ${why}`);
}
