import { makeSpiffeId, type SpiffeId, type TrustDomain } from '../../spiffe/id.js';
import type { Registry, RegistryChange } from '../contract.js';
import type { Commit, Datastore, Kind, Records, Stored, Write } from '../datastores/contract.js';
import { listeners } from '../datastores/listeners.js';
import type { Host } from '../model.js';
import { descendants, isBelow, touchedNodes } from './crawl.js';
import { type EntryIndex, entryIndex, type NodeIndex, nodeIndex } from './indexes.js';

const PAGE = 2000;

interface State {
  readonly entries: EntryIndex;
  readonly nodes: NodeIndex;
  readonly hosts: Map<string, Host>;
  readonly hostEks: Map<string, string>;
  revision: number;
}

/**
 * Reads the whole store into memory and follows its commits from then on: when `commit` resolves, the registry has it.
 * Dispose of it before the store.
 */
export async function openRegistry(
  store: Datastore,
  trustDomain: TrustDomain,
): Promise<Registry & Disposable> {
  const state: State = {
    entries: entryIndex(makeSpiffeId(trustDomain, '/spire/server')),
    nodes: nodeIndex(),
    hosts: new Map(),
    hostEks: new Map(),
    revision: 0,
  };
  const changes = listeners<RegistryChange>();
  const stop = await load(store, state, (commit) => changes.tell(applyCommit(state, commit)));
  return Object.assign(queries(state), { onChange: changes.add, [Symbol.dispose]: stop });
}

/** What is committed while loading is taken in afterwards, in order; taking in what was already read changes nothing. */
async function load(store: Datastore, state: State, live: (commit: Commit) => void): Promise<() => void> {
  const meanwhile: Commit[] = [];
  let take = (commit: Commit): void => {
    meanwhile.push(commit);
  };
  const stop = store.subscribe((commit) => take(commit));
  state.revision = store.revision;
  await loadKind(store, 'entry', (id, entry) => state.entries.set(id, entry));
  await loadKind(store, 'node', (id, node) => state.nodes.set(id, node));
  await loadKind(store, 'host', (id, host) => state.hosts.set(id, host));
  await loadKind(store, 'host_ek', (hash, { hostId }) => state.hostEks.set(hash, hostId));
  for (const commit of meanwhile) applyCommit(state, commit);
  take = live;
  return stop;
}

async function loadKind<K extends Kind>(
  store: Datastore,
  kind: K,
  put: (key: string, value: Records[K]) => void,
): Promise<void> {
  for (let after: string | undefined = ''; after !== undefined; ) {
    const page: Stored<Records[K]>[] = await store.list(kind, { after, limit: PAGE });
    for (const { key, value } of page) put(key, value);
    after = page.length < PAGE ? undefined : page.at(-1)?.key;
  }
}

const nothing: Omit<RegistryChange, 'revision'> = { entries: [], nodes: [], hosts: [], bundles: [] };

function applyCommit(state: State, { revision, writes }: Commit): RegistryChange {
  const before = new Map<string, { kind: 'entry' | 'node' | 'host'; key: string; value: unknown }>();
  const bundles = new Set<string>();
  for (const write of writes) {
    if (write.kind === 'bundle') bundles.add(write.key);
    if (write.kind === 'host_ek') setHostEk(state, write);
    if (write.kind !== 'entry' && write.kind !== 'node' && write.kind !== 'host') continue;
    const old = setRecord(state, write);
    const id = `${write.kind}!${write.key}`;
    if (!before.has(id)) before.set(id, { kind: write.kind, key: write.key, value: old });
  }
  state.revision = revision;
  // Most commits are of evidence, which nobody looks up here.
  if (before.size === 0 && bundles.size === 0) return { revision, ...nothing };
  const pairs = <T>(kind: 'entry' | 'node' | 'host', now: ReadonlyMap<string, T>) =>
    [...before.values()]
      .filter((change) => change.kind === kind)
      .map(({ key, value }) => pair(value as T | undefined, now.get(key)))
      .filter((change) => change.before !== undefined || change.after !== undefined);
  return {
    revision,
    entries: pairs('entry', state.entries.byId),
    nodes: pairs('node', state.nodes.byId),
    hosts: pairs('host', state.hosts),
    bundles: [...bundles],
  };
}

function pair<T>(before: T | undefined, after: T | undefined): { before?: T; after?: T } {
  return { ...(before === undefined ? {} : { before }), ...(after === undefined ? {} : { after }) };
}

function setRecord(state: State, write: Extract<Write, { kind: 'entry' | 'node' | 'host' }>): unknown {
  if (write.kind === 'entry')
    return state.entries.set(write.key, 'deleted' in write ? undefined : write.value);
  if (write.kind === 'node') return state.nodes.set(write.key, 'deleted' in write ? undefined : write.value);
  const before = state.hosts.get(write.key);
  if ('deleted' in write) state.hosts.delete(write.key);
  else state.hosts.set(write.key, write.value);
  return before;
}

function setHostEk(state: State, write: Extract<Write, { kind: 'host_ek' }>): void {
  if ('deleted' in write) state.hostEks.delete(write.key);
  else state.hostEks.set(write.key, write.value.hostId);
}

function queries(state: State): Omit<Registry, 'onChange'> {
  const { entries, nodes, hosts, hostEks } = state;
  return {
    get revision() {
      return state.revision;
    },
    get entryCount() {
      return entries.byId.size;
    },
    get nodeCount() {
      return nodes.byId.size;
    },
    entry: (id) => entries.byId.get(id),
    entries: () => entries.byId.values(),
    node: (id) => nodes.byId.get(id),
    nodes: () => nodes.byId.values(),
    host: (id) => hosts.get(id),
    hosts: () => hosts.values(),
    hostByEk: (hash) => hosts.get(hostEks.get(hash) ?? ''),
    authorizedEntries: (id) => descendants(entries, id, nodes.byId.get(id)),
    isAuthorized: (id, entry) => isBelow(entries, entry, id, nodes.byId.get(id)),
    nodesHolding: (entry) => touchedNodes(entries, nodes, [entry], nodes.byId),
    nodesTouchedBy: (changed, candidates) => touchedNodes(entries, nodes, changed, asSet(candidates)),
  };
}

/** Pass a Set, or this copies one for each question. */
function asSet(candidates: Iterable<SpiffeId>): ReadonlySet<SpiffeId> {
  return candidates instanceof Set ? candidates : new Set(candidates);
}
