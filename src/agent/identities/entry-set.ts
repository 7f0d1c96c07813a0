import { type Entry, orderIdentities } from '../../spiffe/entry.js';
import { deleteEntry, type EntryIndex, indexEntries, matchEntries, putEntry } from '../../spiffe/matching.js';
import type { Selector } from '../../spiffe/selector.js';
import type { EntriesMessage } from '../server/api.js';

/** What one change did. */
export interface EntryChange {
  readonly added: readonly Entry[];
  readonly changed: readonly Entry[];
  readonly removed: readonly string[];
}

/** The entries that this node may hold, found by ID and by selectors. */
export interface EntrySet {
  get(id: string): Entry | undefined;
  all(): ReadonlyMap<string, Entry>;
  /** Entries that go to workloads (not those for secret stores), in the order in which they are told. */
  matching(selectors: readonly Selector[]): readonly Entry[];
  /** Takes in one change as a whole and says what it changed. */
  apply(change: Pick<EntriesMessage, 'full' | 'upserts' | 'removed'>): EntryChange;
  clear(): void;
}

export function createEntrySet(): EntrySet {
  let index = indexEntries([]);
  return {
    get: (id) => index.entries.get(id),
    all: () => index.entries,
    matching: (selectors) =>
      orderIdentities(matchEntries(index, selectors).filter(({ storeSvid }) => !storeSvid)),
    apply({ full, upserts, removed }) {
      // Named twice in one change, an entry is what was said of it last.
      const last = [...new Map(upserts.map((entry) => [entry.id, entry])).values()];
      const done = difference(index, { full, upserts: last, removed });
      if (full) index = indexEntries(last);
      else alter(index, done);
      return done;
    },
    clear() {
      index = indexEntries([]);
    },
  };
}

function difference(
  index: EntryIndex,
  { full, upserts, removed }: Pick<EntriesMessage, 'full' | 'upserts' | 'removed'>,
): EntryChange {
  const added: Entry[] = [];
  const changed: Entry[] = [];
  for (const entry of upserts) {
    const before = index.entries.get(entry.id);
    if (before === undefined) added.push(entry);
    else if (!sameEntry(before, entry)) changed.push(entry);
  }
  const kept = new Set(upserts.map(({ id }) => id));
  const gone = full ? [...index.entries.keys()] : removed;
  return { added, changed, removed: gone.filter((id) => !kept.has(id) && index.entries.has(id)) };
}

function alter(index: EntryIndex, { added, changed, removed }: EntryChange): void {
  for (const id of removed) deleteEntry(index, id);
  for (const entry of [...changed, ...added]) putEntry(index, entry);
}

/** Whole contents: after a server was restored, one revision number can stand for two versions. */
function sameEntry(a: Entry, b: Entry): boolean {
  return a.revisionNumber === b.revisionNumber && JSON.stringify(a) === JSON.stringify(b);
}
