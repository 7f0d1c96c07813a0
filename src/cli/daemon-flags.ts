import type { Flag, FlagValues } from './verb.js';

/** A flag of `run` and `validate` that stands for a key of the file. */
export interface KeyFlag extends Flag {
  readonly key: string;
}

export const configFlags = (path: string): readonly Flag[] => [
  { name: 'config', type: 'string', doc: 'Configuration file, TOML.', default: path },
  { name: 'expandEnv', type: 'boolean', doc: 'Replace $NAME in the file by the environment.' },
];

function givenValue({ name, type }: KeyFlag, flags: FlagValues): unknown {
  if (type === 'integer') return flags.integer(name);
  return type === 'boolean' ? flags.boolean(name) : flags.string(name);
}

/** The keys that were given on the command line. */
export function overridesOf(rows: readonly KeyFlag[], flags: FlagValues): Map<string, unknown> {
  const given = rows.filter((row) => flags.has(row.name));
  return new Map(given.map((row) => [row.key, givenValue(row, flags)]));
}
