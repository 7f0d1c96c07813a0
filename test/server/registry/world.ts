/** Entries, nodes and hosts in a few words, and a registry over them. */
import type { Registry } from '../../../src/server/contract.js';
import type { Write } from '../../../src/server/datastores/contract.js';
import type { Host, Node } from '../../../src/server/model.js';
import { openRegistry } from '../../../src/server/registry/registry.js';
import type { Entry } from '../../../src/spiffe/entry.js';
import { parseSpiffeId, parseTrustDomain, type SpiffeId } from '../../../src/spiffe/id.js';
import { parseSelector } from '../../../src/spiffe/selector.js';
import { memoryDatastore } from '../../fakes/memory-datastore.js';

export const domain = parseTrustDomain('example.org');
export const id = (path: string): SpiffeId => parseSpiffeId(`spiffe://example.org${path}`);
export const SERVER = id('/spire/server');
export const agent = (name: string): SpiffeId => id(`/spire/agent/join_token/${name}`);

export function entry(
  key: string,
  parentId: SpiffeId,
  spiffeId: SpiffeId,
  selectors = ['unix:uid:1'],
): Entry {
  return {
    id: key,
    spiffeId,
    parentId,
    selectors: selectors.map(parseSelector),
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
  };
}

export function node(name: string, selectors: string[] = []): Node {
  return {
    id: agent(name),
    attestationType: 'join_token',
    selectors: selectors.map(parseSelector),
    serial: '01',
    nextSerial: '',
    svidExpiresAt: 0,
    canReattest: false,
    banned: false,
    agentVersion: '',
    attestationNumber: 1,
  };
}

export function host(key: string): Host {
  return {
    id: key,
    name: key,
    labels: {},
    eks: [],
    state: 'trusted',
    stateSince: 0,
    reasons: [],
    graceEndsAt: 0,
    akName: '',
    attestationNumber: 1,
    enrolledBy: 'allow-list',
    enrolledAt: 0,
  };
}

export const putEntry = (value: Entry): Write => ({ kind: 'entry', key: value.id, value });
export const putNode = (value: Node): Write => ({ kind: 'node', key: value.id, value });
export const authorized = (registry: Registry, who: SpiffeId) =>
  [...registry.authorizedEntries(who).keys()].sort();

export async function registryWith(...writes: Write[]) {
  const store = memoryDatastore();
  if (writes.length > 0) await store.commit(writes);
  return { store, registry: await openRegistry(store, domain) };
}
