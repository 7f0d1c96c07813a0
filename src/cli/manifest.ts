import { isMap, isScalar, isSeq, LineCounter, type Node, parseAllDocuments, visit } from 'yaml';
import type { Problem } from '../config/problem.js';
import { messageOf } from '../errors.js';
import { kinds } from '../measure/policy/check.js';
import { nearest } from '../nearest.js';
import type { EntryManifest } from './entry-fields.js';
import { readEntry } from './manifest-entry.js';
import { examinePlain, type ObjectManifest, readObject } from './manifest-object.js';
import type { Complain } from './manifest-value.js';

export interface Manifests {
  readonly entries: EntryManifest[];
  readonly objects: ObjectManifest[];
  readonly problems: Problem[];
}

/** From here on a file that is JSON is not read as YAML, whose reader keeps the place of every word. */
const LARGE = 512 * 1024;
const allKinds = ['Entry', ...kinds];
const kindWords = `${allKinds.slice(0, -1).join(', ')} or ${allKinds.at(-1)}`;

/**
 * Reads all documents of a file, YAML or JSON, each one a manifest or a list of such; every problem is collected, each
 * with its place. What YAML can say beyond JSON, anchors and tags, is refused: a manifest says what it means where it
 * means it, and nothing grows while it is read.
 */
export function readManifest(file: string, source: string): Manifests {
  const read: Manifests = { entries: [], objects: [], problems: [] };
  const lines = new LineCounter();
  const complain: Complain = (offset, message) => {
    const { line, col } = lines.linePos(offset);
    read.problems.push({ file, line: Math.max(1, line), column: Math.max(1, col), message });
  };
  const plain = source.length >= LARGE ? largeObjects(source) : undefined;
  if (plain !== undefined) {
    const first = (message: string) => read.problems.push({ file, line: 1, column: 1, message });
    for (const value of plain) examinePlain(value, first, read.objects);
    return read;
  }
  for (const root of rootsOf(source, lines, complain)) {
    for (const item of isSeq(root) ? root.items : [root]) readOne(item as Node, complain, read);
  }
  if (read.problems.length + read.entries.length + read.objects.length === 0) {
    complain(0, 'holds no manifest');
  }
  read.problems.sort((a, b) => a.line - b.line || a.column - b.column);
  return read;
}

/** The objects of a file of JSON; undefined for what is none, or holds entries too. */
function largeObjects(source: string): unknown[] | undefined {
  try {
    const value: unknown = JSON.parse(source);
    const items: unknown[] = Array.isArray(value) ? value : [value];
    return items.every(isObjectOfOurs) ? items : undefined;
  } catch {
    return undefined;
  }
}

function isObjectOfOurs(value: unknown): boolean {
  const kind = (value as { kind?: unknown } | null)?.kind;
  return kinds.some((known) => known === kind);
}

function readOne(item: Node, complain: Complain, into: Manifests): void {
  const start = item?.range?.[0] ?? 0;
  if (!isMap(item)) {
    complain(start, 'a manifest is a mapping that begins with kind: Entry, or another kind');
    return;
  }
  const kind = item.get('kind');
  // What has an ID is meant to be an entry; of anything else only its kind would tell.
  if (kind === undefined && !item.has('spiffeId')) complain(start, `kind is missing: ${kindWords}`);
  else if (kind === undefined || kind === 'Entry') readEntry(item, complain, into.entries);
  else if (kinds.some((known) => known === kind)) readObject(item, complain, into.objects);
  else {
    const pair = item.items.find(({ key }) => isScalar(key) && key.value === 'kind');
    const written = JSON.stringify(kind) ?? 'nothing';
    const place = (pair?.key as Node | undefined)?.range?.[0] ?? start;
    complain(place, `kind must be ${kindWords}, not ${written}${nearest(String(kind), allKinds)}`);
  }
}

/** What the documents hold, those left out that are broken or empty. */
function rootsOf(source: string, lineCounter: LineCounter, complain: Complain): Node[] {
  try {
    const documents = parseAllDocuments(source, { lineCounter, uniqueKeys: true, schema: 'core' });
    return [...documents].flatMap((document) => {
      for (const error of document.errors)
        complain(error.pos[0], error.message.split('\n')[0]?.replace(/ at line .*/, '') ?? '');
      const root = document.contents as Node | null;
      const empty = root === null || (isScalar(root) && root.value === null);
      if (document.errors.length > 0 || empty) return [];
      return refuseAliases(root, complain) ? [root] : [];
    });
  } catch (error) {
    // Brackets nested deeper than the parser's stack.
    complain(0, `it cannot be read: ${messageOf(error)}`);
    return [];
  }
}

function refuseAliases(root: Node, complain: Complain): boolean {
  let good = true;
  visit(root, {
    Alias: (_key, node) => {
      good = false;
      complain(node.range?.[0] ?? 0, `*${node.source}: write the value out; aliases are not read`);
      return visit.SKIP;
    },
  });
  return good;
}
