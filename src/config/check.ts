import { nearest } from '../nearest.js';
import type { Problem } from './problem.js';
import type { Document } from './read.js';

export type KeyType = 'string' | 'path' | 'duration' | 'integer' | 'boolean' | 'strings' | 'integers';

/** One row of a daemon's table of keys: it checks the file and writes the manual page. */
export interface Key {
  /** Dotted; a `*` stands for the number of a list table, as in `administrator.*.uid`. */
  readonly path: string;
  readonly type: KeyType;
  /** In the form in which it is written in the file; absent: nothing is set. */
  readonly default?: string | number | boolean | readonly string[] | readonly number[];
  readonly required?: true;
  readonly choices?: readonly string[];
  readonly min?: number;
  readonly max?: number;
  /** One or two sentences for the manual page. */
  readonly doc: string;
}

/** One row; the table reads as `path, type, what it is for, its bounds`. */
export function key(path: string, type: KeyType, doc: string, bounds: Partial<Key> = {}): Key {
  return { path, type, doc, ...bounds };
}

/** Checked values by path; durations are seconds. */
export class Values {
  readonly #values: ReadonlyMap<string, unknown>;

  constructor(values: ReadonlyMap<string, unknown>) {
    this.#values = values;
  }

  has(path: string): boolean {
    return this.#values.has(path);
  }

  string(path: string): string {
    return (this.#values.get(path) as string | undefined) ?? '';
  }

  number(path: string): number {
    return (this.#values.get(path) as number | undefined) ?? 0;
  }

  boolean(path: string): boolean {
    return this.#values.get(path) === true;
  }

  strings(path: string): readonly string[] {
    return (this.#values.get(path) as readonly string[] | undefined) ?? [];
  }

  numbers(path: string): readonly number[] {
    return (this.#values.get(path) as readonly number[] | undefined) ?? [];
  }

  /** How many tables a list has: 2 for `administrator` when `administrator.1.uid` is the last. */
  count(list: string): number {
    const indices = [...this.#values.keys()]
      .filter((path) => path.startsWith(`${list}.`))
      .map((path) => Number(path.slice(list.length + 1).split('.')[0]));
    return indices.length === 0 ? 0 : Math.max(...indices) + 1;
  }
}

/** Checks every key of a document against the table; collects all problems instead of stopping at the first. */
export function checkDocument(
  document: Document,
  keys: readonly Key[],
): { values: Values; problems: Problem[] } {
  const problems: Problem[] = [];
  const checked = new Map<string, unknown>();
  const rows = new Map(keys.map((key) => [key.path, key]));
  const complain = (path: string, message: string) => problems.push(problemAt(document, path, message));
  for (const [path, value] of document.values) {
    const key = rows.get(genericPath(path));
    if (!key) {
      complain(path, `unknown key${nearest(genericPath(path), [...rows.keys()])}`);
      continue;
    }
    const result = checkValue(key, value);
    if ('problem' in result) complain(path, result.problem);
    else checked.set(path, result.value);
  }
  for (const key of keys) {
    if (checked.has(key.path) || key.path.includes('*')) continue;
    if (key.required && !document.values.has(key.path)) complain(key.path, 'this key is required');
    if (key.default !== undefined) checked.set(key.path, defaultValue(key));
  }
  return { values: new Values(checked), problems };
}

/** A problem at a key, or at the nearest table around it that is written in the file. */
export function problemAt(document: Document, path: string, message: string): Problem {
  for (let at = path; at !== ''; at = at.slice(0, Math.max(0, at.lastIndexOf('.')))) {
    const position = document.positions.get(at);
    if (position) return { file: document.file, ...position, message: `${path}: ${message}` };
  }
  return { file: document.file, line: 1, column: 1, message: `${path}: ${message}` };
}

/** Seconds of `1h30m`, `45s`, `7d`; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  if (!/^(\d{1,9}[dhms])+$/.test(text)) return undefined;
  const unit: Record<string, number> = { d: 86_400, h: 3_600, m: 60, s: 1 };
  return [...text.matchAll(/(\d+)([dhms])/g)].reduce(
    (sum, [, count, letter]) => sum + Number(count) * (unit[letter ?? 's'] ?? 1),
    0,
  );
}

function genericPath(path: string): string {
  return path.replace(/\.\d+(?=\.)/g, '.*');
}

function defaultValue(key: Key): unknown {
  return key.type === 'duration' ? parseDuration(String(key.default)) : key.default;
}

function checkValue(key: Key, value: unknown): { value: unknown } | { problem: string } {
  switch (key.type) {
    case 'string':
    case 'path':
      return checkString(key, value);
    case 'boolean':
      return typeof value === 'boolean' ? { value } : { problem: 'must be true or false' };
    case 'integer':
      return checkInteger(key, value);
    case 'duration':
      return checkDuration(key, value);
    case 'strings':
      return isListOf(value, 'string') ? { value } : { problem: 'must be a list of strings' };
    case 'integers':
      return isListOf(value, 'number') ? { value } : { problem: 'must be a list of whole numbers' };
  }
}

function checkString(key: Key, value: unknown): { value: unknown } | { problem: string } {
  if (typeof value !== 'string') return { problem: 'must be a string' };
  if (key.required && value === '') return { problem: 'must not be empty' };
  if (key.choices && !key.choices.includes(value)) {
    return { problem: `must be one of ${key.choices.join(', ')}, not ${JSON.stringify(value)}` };
  }
  return { value };
}

function checkInteger(key: Key, value: unknown): { value: unknown } | { problem: string } {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = key;
  if (typeof value !== 'number' || !Number.isInteger(value)) return { problem: 'must be a whole number' };
  if (value < min || value > max) return { problem: `must be between ${min} and ${max}, not ${value}` };
  return { value };
}

function checkDuration(key: Key, value: unknown): { value: unknown } | { problem: string } {
  const seconds = typeof value === 'string' ? parseDuration(value) : undefined;
  if (seconds === undefined) return { problem: 'must be a duration such as "1h30m"' };
  const { min = 1, max = 10 * 365 * 86_400 } = key;
  if (seconds < min || seconds > max) {
    return { problem: `must be between ${min} s and ${max} s, not ${seconds} s` };
  }
  return { value: seconds };
}

function isListOf(value: unknown, type: 'string' | 'number'): boolean {
  return (
    Array.isArray(value) &&
    value.every((item) => typeof item === type && (type === 'string' || Number.isInteger(item)))
  );
}
