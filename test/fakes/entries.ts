import type { Entry } from '../../src/spiffe/entry.js';
import { parseSpiffeId } from '../../src/spiffe/id.js';
import { parseSelector } from '../../src/spiffe/selector.js';

/** An entry with good defaults, so that a test names only what matters to it. */
export function makeEntry(id: string, change: Partial<Omit<Entry, 'id'>> = {}): Entry {
  return {
    id,
    spiffeId: parseSpiffeId(`spiffe://example.org/workload/${id}`),
    parentId: parseSpiffeId('spiffe://example.org/spire/agent/join_token/one'),
    selectors: [parseSelector(`unix:user:${id}`)],
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
    createdAt: 1_790_000_000,
    disableX509SvidPrefetch: false,
    jwtSvidIncludeJti: false,
    ...change,
  };
}
