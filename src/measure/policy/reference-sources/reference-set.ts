import { TouchmarkError } from '../../../errors.js';
import type { HashName } from '../../../tpm/algorithms.js';
import type { Digest, DigestReference, FileReference, ReferenceSet } from '../model.js';

/** A set that was made from something, and what its reader should know about what is not in it. */
export interface MadeReferences {
  readonly set: ReferenceSet;
  readonly notes: readonly string[];
}

/** How a set is to be called, and what it is made from. */
export interface ReferenceAbout {
  readonly name: string;
  /** For people: `uki debian.efi`. */
  readonly source: string;
}

/** Files in one set: more than an installed system has that runs anything. */
export const MAX_FILES = 200_000;
const MAX_DESCRIPTION = 1024;

export const digestLists = ['firmware', 'firmwareConfig', 'secureBoot', 'bootChain', 'userspace'] as const;
const lists = [
  ...digestLists,
  'ukis',
  'commandLines',
  'files',
  'fileSigners',
  'includes',
] as const satisfies readonly (keyof ReferenceSet)[];

/** A set that holds `parts` and nothing else. */
export function referenceSet(about: ReferenceAbout, parts: Partial<ReferenceSet>): ReferenceSet {
  const none = { includes: [], firmware: [], firmwareConfig: [], secureBoot: [], bootChain: [], ukis: [] };
  const empty = { ...none, commandLines: [], userspace: [], files: [], fileSigners: [] };
  return { kind: 'ReferenceSet', description: '', ...empty, ...parts, ...about };
}

/** All that several sets hold, each thing once; a digest under the label that it first has. */
export function mergeReferences(about: ReferenceAbout, made: readonly MadeReferences[]): MadeReferences {
  const sets = made.map(({ set }) => set);
  const parts = Object.fromEntries([
    ...lists.map((name) => [name, distinct<unknown>(sets.flatMap((set) => [...set[name]]))]),
    ...digestLists.map((name) => [name, distinctDigests(sets.flatMap((set) => [...set[name]]))]),
  ]);
  const description = descriptionText(sets.map((set) => set.description));
  const set = referenceSet(about, { ...parts, description });
  if (set.files.length > MAX_FILES) throw tooManyFiles(about.source);
  return { set, notes: made.flatMap(({ notes }) => notes) };
}

export function tooManyFiles(source: string): TouchmarkError {
  return tooMany(source, MAX_FILES, 'files for one reference set');
}

export function tooMany(source: string, most: number, what: string): TouchmarkError {
  return new TouchmarkError('reference_source_too_large', `${source} has more than ${most} ${what}`);
}

/** Whether it accepts nothing. */
export function isEmptySet(set: ReferenceSet): boolean {
  return lists.every((list) => set[list].length === 0);
}

/** The manifest: what a set does not have is left out. */
export function referenceDocument(set: ReferenceSet): Record<string, unknown> {
  const { kind, name, description, source } = set;
  const filled = lists.filter((list) => set[list].length > 0).map((list) => [list, set[list]]);
  return {
    kind,
    name,
    ...(description === '' ? {} : { description }),
    source,
    ...Object.fromEntries(filled),
  };
}

export function digestText(bank: HashName, value: Uint8Array): Digest {
  return `${bank}:${Buffer.from(value).toString('hex')}`;
}

/** Lines about what is in a set, as many as a description may hold. */
export function descriptionText(lines: readonly string[]): string {
  const text = lines.filter((line) => line !== '').join('\n');
  return text.length <= MAX_DESCRIPTION ? text : `${text.slice(0, MAX_DESCRIPTION - 1)}…`;
}

/** Text out of an input as a label: on one line, without what turns or hides it, and bounded. */
export function labelText(text: string): string {
  return text
    .replace(/[\p{C}\s]+/gu, ' ')
    .trim()
    .slice(0, 200);
}

/**
 * A glob that matches one path, as IMA measures it: text as `pathText` writes it. Globs have no escape, so `*` and `?` in a
 * name are matched by any one character, and so is a space, which the kernel writes as `_`. Undefined for a path that is
 * too long to be a pattern.
 */
export function literalGlob(path: string): string | undefined {
  const glob = path.replace(/[*? ]/g, '?');
  return glob.length > 0 && glob.length <= 1024 ? glob : undefined;
}

/** References in the order in which they first come, each digest once. */
export function distinctDigests(references: readonly DigestReference[]): DigestReference[] {
  return [...new Map(references.toReversed().map((row) => [row.digest, row])).values()].reverse();
}

export function sortedFiles(files: readonly FileReference[]): FileReference[] {
  const order = (a: string, b: string) => (a < b ? -1 : Number(a > b));
  return distinct(files).sort((a, b) => order(a.path, b.path) || order(a.digest, b.digest));
}

function distinct<T>(rows: readonly T[]): T[] {
  return [...new Map(rows.map((row) => [JSON.stringify(row), row])).values()];
}
