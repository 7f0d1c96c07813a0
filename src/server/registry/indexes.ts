/** Maps from one key to several values by id, and the indexes over entries and nodes that are made of them. Pure. */
import type { Entry } from '../../spiffe/entry.js';
import type { SpiffeId } from '../../spiffe/id.js';
import { formatSelector, type Selector } from '../../spiffe/selector.js';
import type { Node } from '../model.js';

/** Key -> id -> value. */
export interface MultiMap<V> {
  of(key: string): ReadonlyMap<string, V>;
  put(key: string, id: string, value: V): void;
  drop(key: string, id: string): void;
}

const nothing: ReadonlyMap<string, never> = new Map<string, never>();

export function multiMap<V>(): MultiMap<V> {
  const groups = new Map<string, Map<string, V>>();
  return {
    of: (key) => groups.get(key) ?? nothing,
    put(key, id, value) {
      const group = groups.get(key);
      if (group === undefined) groups.set(key, new Map([[id, value]]));
      else group.set(id, value);
    },
    drop(key, id) {
      const group = groups.get(key);
      if (group?.delete(id) && group.size === 0) groups.delete(key);
    },
  };
}

export interface EntryIndex {
  readonly byId: ReadonlyMap<string, Entry>;
  childrenOf(parent: SpiffeId): ReadonlyMap<string, Entry>;
  withSpiffeId(id: SpiffeId): ReadonlyMap<string, Entry>;
  /** Node aliases whose selectors are a subset of these. */
  aliasesOf(selectors: readonly Selector[]): Entry[];
  isAlias(entry: Entry): boolean;
  /** Returns what was there before. */
  set(id: string, entry: Entry | undefined): Entry | undefined;
}

/** @param aliasParent the ID under which node aliases are registered: the server's own */
export function entryIndex(aliasParent: SpiffeId): EntryIndex {
  const byId = new Map<string, Entry>();
  const byParent = multiMap<Entry>();
  const bySpiffeId = multiMap<Entry>();
  // Each alias under its first selector only: a node that has all of its selectors has that one.
  const aliases = multiMap<Entry>();
  const isAlias = (entry: Entry) => entry.parentId === aliasParent;
  const file = (entry: Entry, how: 'put' | 'drop'): void => {
    byParent[how](entry.parentId, entry.id, entry);
    bySpiffeId[how](entry.spiffeId, entry.id, entry);
    if (isAlias(entry)) aliases[how](keyOf(entry.selectors[0]), entry.id, entry);
  };
  return {
    byId,
    childrenOf: byParent.of,
    withSpiffeId: bySpiffeId.of,
    isAlias,
    aliasesOf: (selectors) => subsetsOf(new Set(selectors.map(formatSelector)), aliases),
    set(id, entry) {
      const before = byId.get(id);
      if (before !== undefined) file(before, 'drop');
      if (entry === undefined) byId.delete(id);
      else byId.set(id, entry);
      if (entry !== undefined) file(entry, 'put');
      return before;
    },
  };
}

function subsetsOf(held: ReadonlySet<string>, aliases: MultiMap<Entry>): Entry[] {
  const found: Entry[] = [];
  for (const selector of held) {
    for (const alias of aliases.of(selector).values()) if (isSubset(alias, held)) found.push(alias);
  }
  return found;
}

export interface NodeIndex {
  readonly byId: ReadonlyMap<string, Node>;
  /** Nodes that have all of these selectors; an alias without selectors has none. */
  matching(entry: Entry): SpiffeId[];
  set(id: string, node: Node | undefined): Node | undefined;
}

export function nodeIndex(): NodeIndex {
  const byId = new Map<string, Node>();
  const bySelector = multiMap<Node>();
  return {
    byId,
    matching(entry) {
      const groups = entry.selectors.map((selector) => bySelector.of(formatSelector(selector)));
      const [rarest, ...others] = groups.sort((a, b) => a.size - b.size);
      const ids = [...(rarest?.values() ?? [])].map((node) => node.id);
      return ids.filter((id) => others.every((group) => group.has(id)));
    },
    set(id, node) {
      const before = byId.get(id);
      for (const selector of before?.selectors ?? []) bySelector.drop(formatSelector(selector), id);
      if (node === undefined) byId.delete(id);
      else byId.set(id, node);
      for (const selector of node?.selectors ?? [])
        bySelector.put(formatSelector(selector), id, node as Node);
      return before;
    },
  };
}

function isSubset(entry: Entry, held: ReadonlySet<string>): boolean {
  return entry.selectors.every((selector) => held.has(formatSelector(selector)));
}

function keyOf(selector: Selector | undefined): string {
  return selector === undefined ? '' : formatSelector(selector);
}
