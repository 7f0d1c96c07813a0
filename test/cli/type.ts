import assert from 'node:assert/strict';
import { runProgram } from '../../src/cli/run.js';
import type { Program } from '../../src/cli/verb.js';

export interface Typed {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface TypeOptions {
  readonly environment?: Readonly<Record<string, string>>;
  readonly stdin?: string;
}

/** Runs a program on the words, as if they had been typed. */
export async function type(
  program: Program,
  words: readonly string[],
  options: TypeOptions = {},
): Promise<Typed> {
  let stdout = '';
  let stderr = '';
  const code = await runProgram(program, words, {
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
    environment: options.environment ?? {},
    version: '1.2.3',
    signal: new AbortController().signal,
    readStdin: async () => options.stdin ?? '',
  });
  return { code, stdout, stderr };
}

/** Types a line in words that have no spaces, for one socket; asserts that it went well. */
export function typist(program: Program, environment: Readonly<Record<string, string>>) {
  const plain = (line: string, stdin = '') => type(program, line.split(' '), { environment, stdin });
  const good = async (line: string, stdin = ''): Promise<string> => {
    const { code, stdout, stderr } = await plain(line, stdin);
    assert.equal(code, 0, `${line}: ${stderr}`);
    return stdout;
  };
  const json = async (line: string, stdin = '') => JSON.parse(await good(`${line} -output json`, stdin));
  const fails = async (line: string, code: number, stderr: RegExp, stdin = ''): Promise<void> => {
    const result = await plain(line, stdin);
    assert.match(result.stderr, stderr, line);
    assert.equal(result.code, code, line);
  };
  return { plain, good, json, fails };
}
