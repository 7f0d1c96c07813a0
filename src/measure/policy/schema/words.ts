/** What the schemas of all kinds are built of. A `description` beside a `pattern` also says what was expected. */
import { MAX_GLOB_LENGTH } from '../glob.js';
import { NAME_PATTERN, REFERENCE_PATTERN } from '../reference.js';

export type Schema = Readonly<Record<string, unknown>>;

export const MAX_FILES = 200_000;
const MAX_LIST = 10_000;

const digestForms = 'sha1:[0-9a-f]{40}|sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}';
const isoTime = '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}(:\\d{2}(\\.\\d{1,3})?)?(Z|[+-]\\d{2}:\\d{2})$';

export const digest: Schema = {
  type: 'string',
  pattern: `^(${digestForms})$`,
  description: 'a digest: sha256:<64 hex digits in lower case>, or sha1:, sha384:, sha512:',
};
export const sha256: Schema = {
  type: 'string',
  pattern: '^sha256:[0-9a-f]{64}$',
  description: 'a SHA-256 digest: sha256:<64 hex digits in lower case>',
};
export const fileDigest: Schema = {
  type: 'string',
  pattern: `^(verity:sha(256:[0-9a-f]{64}|512:[0-9a-f]{128})|${digestForms})$`,
  description: "a file's digest: sha256:<64 hex digits in lower case>, or verity:sha256:...",
};
export const time: Schema = {
  type: 'string',
  pattern: isoTime,
  description: 'a time with its zone, as 2026-11-20T06:00:00Z',
};
export const name: Schema = {
  type: 'string',
  pattern: NAME_PATTERN,
  description: 'a name: letters, digits, dots, dashes and underscores, at most 63',
};
export const reference: Schema = {
  type: 'string',
  pattern: REFERENCE_PATTERN,
  description: 'a name, or name@<64 hex digits> for one version',
};
export const glob: Schema = {
  type: 'string',
  minLength: 1,
  maxLength: MAX_GLOB_LENGTH,
  description: 'a glob: * within a path segment, ** across segments, ? for one character',
};
export const description: Schema = text(1024, 'For people.');

export function text(maxLength: number, says: string): Schema {
  return { type: 'string', maxLength, default: '', description: says };
}

/** A list that is empty when it is not written. */
export function list(items: Schema, says: string, maxItems = MAX_LIST): Schema {
  return { type: 'array', items, maxItems, default: [], description: says };
}

/** The same, of plain values each of which may stand there once. */
export function set(items: Schema, says: string, maxItems = MAX_LIST): Schema {
  return { ...list(items, says, maxItems), uniqueItems: true };
}

/** A mapping in which nothing else may be written. */
export function mapping(
  properties: Readonly<Record<string, Schema>>,
  required: readonly string[] = [],
): Schema {
  return { type: 'object', properties, required, additionalProperties: false };
}

export function kind(value: string): Schema {
  return { const: value };
}
