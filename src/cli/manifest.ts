import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseAllDocuments, visit } from 'yaml';
import type { Problem } from '../config/problem.js';
import { messageOf } from '../errors.js';
import { nearest } from '../nearest.js';
import { type EntryManifest, entryFields, text } from './entry-fields.js';

const fields: Readonly<Record<string, { read: (value: unknown) => unknown; missing?: unknown }>> = {
  kind: { read: text },
  ...entryFields,
};

type Complain = (offset: number, message: string) => void;

/**
 * Reads all documents of a file, YAML or JSON, each one `kind: Entry` or a list of such; every problem is collected, each
 * with its place. What YAML can say beyond JSON, anchors and tags, is refused: a manifest says what it means where it
 * means it, and nothing grows while it is read.
 */
export function readManifest(
  file: string,
  source: string,
): { entries: EntryManifest[]; problems: Problem[] } {
  const lines = new LineCounter();
  const problems: Problem[] = [];
  const entries: EntryManifest[] = [];
  const complain: Complain = (offset, message) => {
    const { line, col } = lines.linePos(offset);
    problems.push({ file, line: Math.max(1, line), column: Math.max(1, col), message });
  };
  for (const root of rootsOf(source, lines, complain)) {
    for (const item of isSeq(root) ? root.items : [root]) readEntry(item as Node, complain, entries);
  }
  problems.sort((a, b) => a.line - b.line || a.column - b.column);
  return { entries, problems };
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

/** One mapping; nothing is added to `into` unless all of it is good. */
function readEntry(map: Node, complain: Complain, into: EntryManifest[]): void {
  const start = map?.range?.[0] ?? 0;
  if (!isMap(map)) {
    complain(start, 'a manifest is a mapping that begins with kind: Entry');
    return;
  }
  let good = true;
  const bad: Complain = (offset, message) => {
    good = false;
    complain(offset, message);
  };
  const values = new Map<string, unknown>();
  const written = new Set<string>();
  for (const { key, value } of map.items) {
    const name = isScalar(key) ? String(key.value) : '';
    const offset = (key as Node).range?.[0] ?? start;
    written.add(name);
    readField(name, value, values, (message) => bad(offset, message));
  }
  const kind = values.get('kind');
  if (kind !== undefined && kind !== 'Entry') bad(start, `kind must be Entry, not ${JSON.stringify(kind)}`);
  for (const [name, { missing }] of Object.entries(fields)) {
    if (written.has(name)) continue;
    if (missing === undefined) bad(start, `${name} is missing`);
    values.set(name, missing);
  }
  values.delete('kind');
  if (good) into.push(Object.fromEntries(values) as unknown as EntryManifest);
}

function readField(
  name: string,
  value: unknown,
  into: Map<string, unknown>,
  bad: (message: string) => void,
): void {
  const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
  if (!field) {
    bad(`unknown field ${JSON.stringify(name)}${nearest(name, Object.keys(fields))}`);
    return;
  }
  try {
    into.set(name, field.read(plain(value)));
  } catch (error) {
    bad(`${name}: ${messageOf(error)}`);
  }
}

function plain(value: unknown): unknown {
  return isAlias(value) ? undefined : (value as { toJSON(): unknown } | null)?.toJSON();
}
