import { type ErrorCode, errorTable } from '../error-table.js';
import { hasCode, messageOf, TouchmarkError } from '../errors.js';
import { nearest } from '../nearest.js';
import { RpcError } from '../rpc/rpc-error.js';
import { completionScript, type Shell } from './completion.js';
import { programHelp, verbHelp } from './help.js';
import { createOutput, printableLines } from './output.js';
import { findVerb, parseWords, UsageError } from './parse.js';
import type { Program, Verb } from './verb.js';

/** Everything that a program touches outside itself, so that tests can stand in for it. */
export interface Surroundings {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  readonly signal: AbortSignal;
  readStdin(): Promise<string>;
}

/** Runs one command line. @returns the exit code: 0 done, 1 failed, 2 wrong usage */
export async function runProgram(
  program: Program,
  words: readonly string[],
  surroundings: Surroundings,
): Promise<number> {
  const whole = withCompletion(program);
  const { verb, rest } = findVerb(whole, words);
  if (!verb) return runWithoutVerb(whole, words, surroundings);
  try {
    return await runVerb(whole, verb, rest, surroundings);
  } catch (error) {
    return report(whole, verb, error, surroundings);
  }
}

async function runVerb(
  program: Program,
  verb: Verb,
  words: readonly string[],
  surroundings: Surroundings,
): Promise<number> {
  const { flags, args } = parseWords(verb, words, surroundings.environment);
  if (flags.boolean('help')) {
    surroundings.stdout(verbHelp(program, verb));
    return 0;
  }
  const out = createOutput(flags.string('output') === 'json' ? 'json' : 'pretty', surroundings);
  const { environment, signal, version, readStdin } = surroundings;
  const code = await verb.run({ flags, args, out, environment, signal, version, readStdin });
  return code ?? 0;
}

function runWithoutVerb(program: Program, words: readonly string[], surroundings: Surroundings): number {
  const typed = words.filter((word) => !word.startsWith('-')).join(' ');
  if (words.includes('--version') || words.includes('-version') || typed === 'version') {
    surroundings.stdout(`${program.name} ${surroundings.version}\n`);
    return 0;
  }
  const isGroup = program.verbs.some((verb) => verb.name.startsWith(`${typed} `));
  if (words.length === 0 || isGroup || typed === '' || typed === 'help') {
    const asked = words.some((word) => /^-{0,2}h(elp)?$/.test(word));
    (asked ? surroundings.stdout : surroundings.stderr)(programHelp(program, isGroup ? typed : ''));
    return asked ? 0 : 2;
  }
  const names = program.verbs.map((verb) => verb.name);
  surroundings.stderr(`${program.name}: unknown verb ${JSON.stringify(typed)}${nearest(typed, names)}\n`);
  return 2;
}

function report(program: Program, verb: Verb, error: unknown, { stderr }: Surroundings): number {
  const name = `${program.name} ${verb.name}`;
  stderr(`${name}: ${printableLines(messageOf(error))}\n`);
  if (error instanceof UsageError || hasCode(error, 'flag_invalid')) {
    stderr(`Try ${name} --help.\n`);
    return 2;
  }
  const remedy = remedyOf(error);
  if (remedy) stderr(`${remedy}\n`);
  return 1;
}

/** Of a failure here, or of one that our server named by its code. */
function remedyOf(error: unknown): string | undefined {
  if (error instanceof TouchmarkError) return error.remedy;
  if (!(error instanceof RpcError) || !error.code || !Object.hasOwn(errorTable, error.code)) return undefined;
  return errorTable[error.code as ErrorCode].remedy;
}

function withCompletion(program: Program): Program {
  const completion: Verb = {
    name: 'completion',
    summary: 'Print a completion script for a shell.',
    example: `${program.name} completion bash > /etc/bash_completion.d/${program.name}`,
    flags: [],
    args: [{ name: 'SHELL', doc: 'bash, zsh or fish.' }],
    run: async ({ args, out }) => {
      const shell = args[0] ?? '';
      if (!['bash', 'zsh', 'fish'].includes(shell))
        throw new UsageError(`SHELL is bash, zsh or fish, not ${shell}`);
      out.text(completionScript(program, shell as Shell));
      return 0;
    },
  };
  return { ...program, verbs: [...program.verbs, completion] };
}
