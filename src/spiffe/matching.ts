import { compareText, type Entry } from './entry.js';
import { formatSelector, type Selector } from './selector.js';

/** Entries arranged so that those matching a workload are found without looking at the others. Made by `indexEntries`. */
export interface EntryIndex {
  /** By entry ID. To be changed by `putEntry` and `deleteEntry` only. */
  readonly entries: Map<string, Entry>;
  /** Each entry under one of its selectors, so an entry is looked at only when the workload has that one. */
  readonly bySelector: Map<string, Map<string, IndexedEntry>>;
  /** Under which selector an entry is filed. */
  readonly filedUnder: Map<string, string>;
}

interface IndexedEntry {
  readonly entry: Entry;
  /** The written forms of the other selectors. */
  readonly others: readonly string[];
}

/** An entry that does not match, with what the workload lacks for it. */
export interface NearMiss {
  readonly entry: Entry;
  readonly missing: readonly Selector[];
}

/** Builds an index. Each entry is filed under its rarest selector: what all share, such as a user, says least. */
export function indexEntries(entries: Iterable<Entry>): EntryIndex {
  const list = [...entries];
  const uses = new Map<string, number>();
  for (const { selectors } of list) {
    for (const form of selectors.map(formatSelector)) uses.set(form, (uses.get(form) ?? 0) + 1);
  }
  const index: EntryIndex = { entries: new Map(), bySelector: new Map(), filedUnder: new Map() };
  for (const entry of list) place(index, entry, (form) => uses.get(form) ?? 0);
  return index;
}

/** Adds an entry or replaces the one with its ID, in place. */
export function putEntry(index: EntryIndex, entry: Entry): void {
  deleteEntry(index, entry.id);
  place(index, entry, (form) => index.bySelector.get(form)?.size ?? 0);
}

/** Removes an entry in place; false when there was none. */
export function deleteEntry(index: EntryIndex, id: string): boolean {
  const form = index.filedUnder.get(id) ?? '';
  const bucket = index.bySelector.get(form);
  bucket?.delete(id);
  if (bucket?.size === 0) index.bySelector.delete(form);
  index.filedUnder.delete(id);
  return index.entries.delete(id);
}

/** The entries all of whose selectors the workload has, sorted by ID. An entry without selectors matches nobody. */
export function matchEntries(index: EntryIndex, selectors: readonly Selector[]): Entry[] {
  const held = new Set(selectors.map(formatSelector));
  const matching: Entry[] = [];
  for (const form of held) {
    for (const { entry, others } of index.bySelector.get(form)?.values() ?? []) {
      if (others.every((other) => held.has(other))) matching.push(entry);
    }
  }
  return matching.sort((a, b) => compareText(a.id, b.id));
}

/**
 * The entries that came nearest to matching: fewest missing selectors first, then most that were there, then by ID. Looks at every
 * entry: for `explain`, not for serving.
 */
export function nearEntries(index: EntryIndex, selectors: readonly Selector[], most = 5): NearMiss[] {
  const held = new Set(selectors.map(formatSelector));
  const misses: NearMiss[] = [];
  for (const entry of index.entries.values()) {
    const missing = entry.selectors.filter((selector) => !held.has(formatSelector(selector)));
    if (missing.length > 0) misses.push({ entry, missing });
  }
  return misses.sort(nearest).slice(0, most);
}

function nearest(a: NearMiss, b: NearMiss): number {
  const present = ({ entry, missing }: NearMiss) => entry.selectors.length - missing.length;
  return (
    a.missing.length - b.missing.length || present(b) - present(a) || compareText(a.entry.id, b.entry.id)
  );
}

function place(index: EntryIndex, entry: Entry, weight: (form: string) => number): void {
  index.entries.set(entry.id, entry);
  const forms = [...new Set(entry.selectors.map(formatSelector))];
  const [first] = forms;
  if (first === undefined) return;
  const rarest = forms.reduce((best, form) => (weight(form) < weight(best) ? form : best), first);
  const bucket = index.bySelector.get(rarest) ?? new Map<string, IndexedEntry>();
  index.bySelector.set(rarest, bucket);
  bucket.set(entry.id, { entry, others: forms.filter((form) => form !== rarest) });
  index.filedUnder.set(entry.id, rarest);
}
