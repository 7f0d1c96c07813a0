import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import type { DevDomain } from '../support/dev.js';
import { repoRoot } from '../support/root.js';

/** How a foreign client is started: its program and the arguments before the verb. */
export interface ForeignClient {
  readonly name: string;
  readonly command: readonly string[];
  /** Why it cannot be run here. */
  readonly missing: string | undefined;
}

const goProgram = join(repoRoot(), 'dist', 'interop-client');
const python = join(repoRoot(), '.venv', 'bin', 'python');

export const goSpiffe: ForeignClient = {
  name: 'go-spiffe',
  command: [goProgram],
  missing: existsSync(goProgram) ? undefined : 'dist/interop-client is not built: run scripts/test interop',
};

export const pySpiffe: ForeignClient = {
  name: 'py-spiffe',
  command: [python, join(repoRoot(), 'test', 'interop', 'python', 'client.py')],
  missing: existsSync(python) ? undefined : '.venv with py-spiffe is not there: run scripts/test interop',
};

/** Skips visibly what cannot be run here; in CI that is a failure. */
export function available(t: TestContext, client: ForeignClient): boolean {
  if (client.missing === undefined) return true;
  if (process.env['CI'] === 'true') throw new Error(client.missing);
  t.skip(client.missing);
  return false;
}

/** The user that a workload of a test runs as; a test that needs another user needs root. */
export const asRoot = process.getuid?.() === 0;

export type Answer = Record<string, unknown>;

/** Runs one verb to its end; what it printed last, and its exit code. */
export function ask(
  dev: DevDomain,
  client: ForeignClient,
  args: readonly string[],
  uid?: number,
): Promise<{ code: number; answer: Answer }> {
  const [program = '', ...rest] = asUser(uid, [...client.command, ...args]);
  return new Promise((resolve, reject) => {
    execFile(program, rest, { env: environment(dev), timeout: 40_000 }, (error, stdout, stderr) => {
      const line = stdout.trim().split('\n').at(-1) ?? '';
      try {
        resolve({ code: error === null ? 0 : Number(error.code ?? -1), answer: JSON.parse(line) as Answer });
      } catch {
        reject(new Error(`${client.name} ${args[0]} said ${JSON.stringify(line)}: ${stderr}`));
      }
    });
  });
}

export interface Running {
  readonly lines: readonly Answer[];
  /** The first line, from `from` on, that satisfies. */
  wait(what: string, holds: (line: Answer) => boolean, from?: number, ms?: number): Promise<Answer>;
  stop(): Promise<void>;
}

/** Starts a verb that goes on, and reads its lines. */
export function start(
  t: TestContext,
  dev: DevDomain,
  client: ForeignClient,
  args: readonly string[],
  uid?: number,
): Running {
  const [program = '', ...rest] = asUser(uid, [...client.command, ...args]);
  const child: ChildProcess = spawn(program, rest, {
    env: environment(dev),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: Answer[] = [];
  let complaints = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaints += text;
  });
  if (child.stdout)
    createInterface({ input: child.stdout }).on('line', (line) => lines.push(JSON.parse(line)));
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  };
  t.after(stop);
  return {
    lines,
    async wait(what, holds, from = 0, ms = 20_000) {
      for (const end = Date.now() + ms; Date.now() < end; ) {
        const found = lines.slice(from).find(holds);
        if (found !== undefined) return found;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      const last = JSON.stringify(lines.slice(-5));
      throw new Error(`${client.name} never saw that ${what}; it said ${last} ${complaints}`);
    },
    stop,
  };
}

export const idsIn = (line: Answer): string[] =>
  ((line['svids'] ?? []) as { id: string }[]).map(({ id }) => id);
export const serialIn = (line: Answer): string =>
  ((line['svids'] ?? []) as { serial: string }[])[0]?.serial ?? '';

function asUser(uid: number | undefined, command: readonly string[]): readonly string[] {
  if (uid === undefined) return command;
  return ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', ...command];
}

function environment(dev: DevDomain): NodeJS.ProcessEnv {
  return { ...process.env, SPIFFE_ENDPOINT_SOCKET: `unix://${dev.workloadSocket}` };
}
