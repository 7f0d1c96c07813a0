import { parseDuration } from '../config/check.js';
import { nearest } from '../nearest.js';
import type { Flag, Program, Verb } from './verb.js';
import { FlagValues } from './verb.js';

/** Wrong usage: printed with a pointer to the verb's help, exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Flags that every verb takes. */
const commonFlags: readonly Flag[] = [
  {
    name: 'output',
    type: 'string',
    doc: 'Form of the result: pretty or json.',
    default: 'pretty',
    choices: ['pretty', 'json'],
    aliases: ['o'],
  },
  { name: 'help', type: 'boolean', doc: 'Show this help.', aliases: ['h'] },
];

/** All flags of a verb. A short name that it has for one of its own is not that of a common one beside it. */
export function flagsOf(verb: Verb): readonly Flag[] {
  const own = new Set(verb.flags.flatMap(({ aliases = [] }) => aliases));
  const common = commonFlags.map(({ aliases = [], ...flag }): Flag => {
    return { ...flag, aliases: aliases.filter((name) => !own.has(name)) };
  });
  return [...verb.flags, ...common];
}

/** The verb with the most words that the command line begins with; the rest are its flags and arguments. */
export function findVerb(
  program: Program,
  words: readonly string[],
): { verb?: Verb; rest: readonly string[] } {
  const leading = words.findIndex((word) => word.startsWith('-'));
  const typed = leading === -1 ? words : words.slice(0, leading);
  for (let count = Math.min(typed.length, 4); count > 0; count--) {
    const verb = program.verbs.find((row) => row.name === typed.slice(0, count).join(' '));
    if (verb) return { verb, rest: words.slice(count) };
  }
  return { rest: words };
}

/**
 * Reads `-x value`, `--x value`, `-x=value` and lone arguments, in any order, as SPIRE's users type them.
 * @throws UsageError
 */
export function parseWords(
  verb: Verb,
  words: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): { flags: FlagValues; args: string[] } {
  const flags = flagsOf(verb);
  const written = new Map<string, string[]>();
  const args: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    if (word === '--') {
      args.push(...words.slice(at + 1));
      break;
    }
    if (!word.startsWith('-') || word === '-') {
      args.push(word);
      continue;
    }
    const { flag, inline } = readFlag(verb, flags, word);
    const takesNext = inline === undefined && flag.type !== 'boolean';
    if (takesNext && at + 1 >= words.length) throw new UsageError(`-${flag.name} needs a value`);
    const value = inline ?? (takesNext ? (words[++at] ?? '') : 'true');
    written.set(flag.name, [...(written.get(flag.name) ?? []), value]);
  }
  if (written.has('help')) return { flags: new FlagValues(new Map([['help', true]])), args };
  checkArgs(verb, args);
  return { flags: new FlagValues(readValues(flags, written, environment)), args };
}

function readFlag(
  verb: Verb,
  flags: readonly Flag[],
  word: string,
): { flag: Flag; inline: string | undefined } {
  const body = word.replace(/^--?/, '');
  const equals = body.indexOf('=');
  const name = equals === -1 ? body : body.slice(0, equals);
  const flag = flags.find((row) => row.name === name || row.aliases?.includes(name));
  if (!flag) {
    const instead = Object.hasOwn(verb.refused ?? {}, name) ? verb.refused?.[name] : undefined;
    const names = flags.map((row) => row.name);
    throw new UsageError(
      instead ? `there is no -${name}: ${instead}` : `unknown flag -${name}${nearest(name, names)}`,
    );
  }
  return { flag, inline: equals === -1 ? undefined : body.slice(equals + 1) };
}

function checkArgs(verb: Verb, args: readonly string[]): void {
  const rows = verb.args ?? [];
  const extra = args[rows.length];
  if (extra !== undefined && !rows.at(-1)?.name.endsWith('...'))
    throw new UsageError(`unexpected argument ${extra}`);
  const missing = rows.slice(args.length).find((row) => !row.optional);
  if (missing) throw new UsageError(`${missing.name} is missing`);
}

function readValues(
  flags: readonly Flag[],
  written: ReadonlyMap<string, string[]>,
  environment: Readonly<Record<string, string | undefined>>,
): Map<string, unknown> {
  const values = new Map<string, unknown>();
  for (const flag of flags) {
    const variable = flag.env?.map((name) => environment[name]).find((value) => value);
    const given = written.get(flag.name) ?? (variable ? [variable] : undefined);
    if (given) values.set(flag.name, readValue(flag, given));
    else if (flag.default !== undefined) values.set(flag.name, flag.default);
    else if (flag.required) throw new UsageError(`-${flag.name} is required`);
  }
  return values;
}

function readValue(flag: Flag, given: readonly string[]): unknown {
  const last = given.at(-1) ?? '';
  if (flag.choices && !flag.choices.includes(last)) {
    throw new UsageError(
      `-${flag.name} must be one of ${flag.choices.join(', ')}, not ${JSON.stringify(last)}`,
    );
  }
  switch (flag.type) {
    case 'string':
      return last;
    case 'strings':
      return given;
    case 'boolean':
      if (last !== 'true' && last !== 'false')
        throw new UsageError(`-${flag.name} is true or false, not ${last}`);
      return last === 'true';
    case 'integer':
      if (!/^-?\d{1,15}$/.test(last))
        throw new UsageError(`-${flag.name} must be a whole number, not ${last}`);
      return Number(last);
    case 'duration':
      return readDuration(flag, last);
  }
}

/** Seconds: a bare number, as SPIRE's flags take it, or `1h30m`. */
function readDuration(flag: Flag, text: string): number {
  const seconds = /^\d{1,9}$/.test(text) ? Number(text) : parseDuration(text);
  if (seconds === undefined)
    throw new UsageError(`-${flag.name} must be seconds or a duration such as 1h30m, not ${text}`);
  return seconds;
}
