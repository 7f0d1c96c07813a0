import type { Flag, FlagValues } from './verb.js';

/** A flag of `run` and `validate` that stands for a key of the file. */
export interface KeyFlag extends Flag {
  readonly key: string;
}

export const configFlags = (path: string): readonly Flag[] => [
  { name: 'config', type: 'string', doc: 'Configuration file, TOML.', default: path },
  { name: 'expandEnv', type: 'boolean', doc: 'Replace $NAME in the file by the environment.' },
];

/** The keys that were given on the command line. */
export function overridesOf(rows: readonly KeyFlag[], flags: FlagValues): Map<string, unknown> {
  const given = rows.filter((row) => flags.has(row.name));
  return new Map(
    given.map((row) => [row.key, row.type === 'integer' ? flags.integer(row.name) : flags.string(row.name)]),
  );
}
