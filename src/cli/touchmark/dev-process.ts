import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TouchmarkError } from '../../errors.js';

/** A daemon started for `touchmark dev`, with its log in a file. */
export interface DevProcess extends AsyncDisposable {
  readonly pid: number;
  /** Rejects when the process ends by itself; never resolves. */
  readonly failure: Promise<never>;
}

const binaries = join(import.meta.dirname, '..', '..', '..', '..', 'bin');

export function startDaemon(program: string, args: readonly string[], logFile: string): DevProcess {
  const log = openSync(logFile, 'a', 0o600);
  const child = spawn(process.execPath, [join(binaries, program), ...args], { stdio: ['ignore', log, log] });
  let stopping = false;
  const failure = once(child, 'exit').then(([code, signal]): Promise<never> => {
    if (stopping) return new Promise(() => {});
    const said = readFileSync(logFile, 'utf8').trim().split('\n').slice(-10).join('\n');
    throw new TouchmarkError(
      'dev_failed',
      `${program} ended with ${signal ?? `exit code ${code}`}:\n${said}`,
    );
  });
  failure.catch(() => {});
  const dispose = async () => {
    stopping = true;
    await stop(child);
  };
  return { pid: child.pid ?? 0, failure, [Symbol.asyncDispose]: dispose };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const patience = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await gone;
  clearTimeout(patience);
}
