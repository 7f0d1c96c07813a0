import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readStream } from './read-file.js';
import { runProgram } from './run.js';
import type { Program } from './verb.js';

/** Runs a program as this process: signals abort it, its exit code becomes the process's. */
export async function main(program: Program): Promise<void> {
  const abort = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => abort.abort(new Error(signal)));
  // A reader that went away (`| head`) is not an error worth a stack.
  process.stdout.on('error', () => {});
  process.exitCode = await runProgram(program, process.argv.slice(2), {
    stdout: (chunk) => process.stdout.write(chunk),
    stderr: (chunk) => process.stderr.write(chunk),
    environment: process.env,
    version: packageVersion(),
    signal: abort.signal,
    readStdin: () => readStream(process.stdin, 'standard input'),
  });
}

function packageVersion(): string {
  const path = join(import.meta.dirname, '..', '..', '..', 'package.json');
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
}
