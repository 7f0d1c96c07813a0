import { canonicalSelectors, type Entry } from '../../src/spiffe/entry.js';
import { makeSpiffeId, parseTrustDomain } from '../../src/spiffe/id.js';
import { parseSelector } from '../../src/spiffe/selector.js';

export const entryDomain = parseTrustDomain('example.org');
export const nodeId = makeSpiffeId(entryDomain, '/spire/agent/tpm/ab');

/** A valid entry of `spiffe://example.org/web`, but for what is changed; selectors as they are written. */
export function entryOf(
  id: string,
  selectors: readonly string[] = ['unix:uid:1000'],
  changes: Partial<Entry> = {},
): Entry {
  return {
    id,
    spiffeId: makeSpiffeId(entryDomain, '/web'),
    parentId: nodeId,
    selectors: canonicalSelectors(selectors.map(parseSelector)),
    x509SvidTtl: 0,
    jwtSvidTtl: 0,
    federatesWith: [],
    admin: false,
    downstream: false,
    expiresAt: 0,
    dnsNames: [],
    revisionNumber: 0,
    storeSvid: false,
    hint: '',
    createdAt: 0,
    disableX509SvidPrefetch: false,
    jwtSvidIncludeJti: false,
    ...changes,
  };
}
