import { parse, TomlError } from 'smol-toml';
import type { Position, Problem } from './problem.js';

/** A TOML document flattened: `svid.x509_ttl` -> value, list tables as `administrator.0.uid`, with where each key stands. */
export interface Document {
  readonly file: string;
  readonly values: ReadonlyMap<string, unknown>;
  readonly positions: ReadonlyMap<string, Position>;
}

/** Reads TOML text. A syntax error is the only problem then, since nothing behind it can be trusted. */
export function readDocument(file: string, text: string): { document?: Document; problems: Problem[] } {
  try {
    const values = new Map<string, unknown>();
    flatten('', parse(text), values);
    return { document: { file, values, positions: findPositions(text) }, problems: [] };
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const message = error.message.split('\n')[0] ?? 'not valid TOML';
    return { problems: [{ file, line: error.line, column: error.column, message }] };
  }
}

/** Replaces `${NAME}` and `$NAME` as SPIRE's -expandEnv does; an unset variable becomes empty. */
export function expandEnvironment(
  text: string,
  environment: Readonly<Record<string, string | undefined>>,
): string {
  return text.replace(
    /\$(?:\{(\w+)\}|(\w+))/g,
    (_whole, braced: string | undefined, bare: string | undefined) => {
      return environment[braced ?? bare ?? ''] ?? '';
    },
  );
}

function flatten(prefix: string, value: unknown, into: Map<string, unknown>): void {
  if (isListOfTables(value)) {
    for (const [index, item] of value.entries()) flatten(`${prefix}.${index}`, item, into);
  } else if (isTable(value)) {
    for (const [key, child] of Object.entries(value))
      flatten(prefix === '' ? key : `${prefix}.${key}`, child, into);
  } else into.set(prefix, value);
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function isListOfTables(value: unknown): value is unknown[] {
  return Array.isArray(value) && value.length > 0 && value.every(isTable);
}

/**
 * Where each key stands. The TOML parser does not tell, so the lines are read once more, lightly: headers and
 * `key =` at the start of a line. A key inside an inline table is given its line's position.
 */
function findPositions(text: string): Map<string, Position> {
  const positions = new Map<string, Position>();
  const listIndex = new Map<string, number>();
  let table = '';
  text.split('\n').forEach((line, index) => {
    const header = /^\s*(\[{1,2})\s*([\w."-]+)\s*\]/.exec(line);
    if (header) {
      table = tableName(header[2] ?? '', header[1] === '[[', listIndex);
      positions.set(table, { line: index + 1, column: line.indexOf('[') + 1 });
      return;
    }
    const key = /^(\s*)([\w."-]+)\s*=/.exec(line);
    if (!key) return;
    const name = (key[2] ?? '').replaceAll('"', '');
    const path = table === '' ? name : `${table}.${name}`;
    if (!positions.has(path)) positions.set(path, { line: index + 1, column: (key[1] ?? '').length + 1 });
  });
  return positions;
}

function tableName(written: string, isList: boolean, listIndex: Map<string, number>): string {
  const name = written.replaceAll('"', '');
  if (!isList) return name;
  const index = (listIndex.get(name) ?? -1) + 1;
  listIndex.set(name, index);
  return `${name}.${index}`;
}
