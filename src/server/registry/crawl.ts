/** Which node may hold which entry: down from the node, or up from the entry. Parents may form circles; both ways end. Pure. */
import type { Entry } from '../../spiffe/entry.js';
import type { SpiffeId } from '../../spiffe/id.js';
import type { Node } from '../model.js';
import type { EntryIndex, NodeIndex } from './indexes.js';

/** All descendants of the node's ID and of the IDs of its aliases. */
export function descendants(index: EntryIndex, id: SpiffeId, node: Node | undefined): Map<string, Entry> {
  const aliases = node === undefined ? [] : index.aliasesOf(node.selectors);
  const visited = new Set<SpiffeId>([id, ...aliases.map((alias) => alias.spiffeId)]);
  const found = new Map<string, Entry>();
  // A Set may grow while it is walked: what is added is walked too, each member once.
  for (const parent of visited) {
    for (const [entryId, entry] of index.childrenOf(parent)) {
      found.set(entryId, entry);
      visited.add(entry.spiffeId);
    }
  }
  return found;
}

export interface Ancestry {
  /** Every ID that is an ancestor by parentId. */
  readonly ids: ReadonlySet<SpiffeId>;
  /** Every node alias above, the entries asked about included. */
  readonly aliases: ReadonlySet<Entry>;
}

/** Costs what lies above these entries, however many nodes and other entries there are. */
export function ancestry(index: EntryIndex, entries: Iterable<Entry>): Ancestry {
  const ids = new Set<SpiffeId>();
  const aliases = new Set<Entry>();
  const climb = (entry: Entry): void => {
    ids.add(entry.parentId);
    if (index.isAlias(entry)) aliases.add(entry);
  };
  for (const entry of entries) climb(entry);
  for (const id of ids) for (const entry of index.withSpiffeId(id).values()) climb(entry);
  return { ids, aliases };
}

/** An alias is not itself delivered: it only says which node has which further ID. */
export function isBelow(index: EntryIndex, entry: Entry, id: SpiffeId, node: Node | undefined): boolean {
  const { ids } = ancestry(index, [entry]);
  if (ids.has(id)) return true;
  return node !== undefined && index.aliasesOf(node.selectors).some((alias) => ids.has(alias.spiffeId));
}

export function touchedNodes(
  index: EntryIndex,
  nodes: NodeIndex,
  entries: readonly Entry[],
  candidates: { has(id: SpiffeId): boolean },
): Set<SpiffeId> {
  const { ids, aliases } = ancestry(index, entries);
  const touched = new Set<SpiffeId>();
  const consider = (id: SpiffeId): void => {
    if (candidates.has(id)) touched.add(id);
  };
  for (const id of ids) consider(id);
  for (const alias of aliases) for (const id of nodes.matching(alias)) consider(id);
  return touched;
}
