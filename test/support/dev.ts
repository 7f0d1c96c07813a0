import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { repoRoot } from './root.js';

/** A throw-away trust domain, started as a newcomer would: `touchmark dev`. */
export interface DevDomain {
  readonly dir: string;
  readonly trustDomain: string;
  readonly serverSocket: string;
  readonly serverAddress: string;
  readonly workloadSocket: string;
  readonly adminSocket: string;
  readonly agentId: string;
  readonly serverPid: number;
  readonly agentPid: number;
  /** Of `touchmark dev` itself. */
  readonly pid: number;
  /** Runs one of the three programs with sockets of this domain; never throws for an exit code. */
  run(program: Program, args: readonly string[], input?: string): Promise<Ran>;
  /** Registers a workload of this host; the ID of the new entry. */
  register(path: string, selector: string, more?: readonly string[]): Promise<string>;
  /** SIGTERM, and what it ended with. */
  stop(): Promise<number | null>;
}

export type Program = 'touchmark' | 'touchmark-server' | 'touchmark-agent';

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** What stdout holds as JSON. */
  json<T = Record<string, unknown>>(): T;
}

const START_MS = 90_000;

export async function startDev(t: TestContext, ...flags: string[]): Promise<DevDomain> {
  const program = binary('touchmark');
  const child = spawn(process.execPath, [program, 'dev', ...flags], { stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => end(child));
  const line = await firstLine(child);
  const said = JSON.parse(line) as Omit<DevDomain, 'run' | 'register' | 'stop' | 'adminSocket' | 'pid'>;
  const adminSocket = join(said.dir, 'admin.sock');
  const environment = {
    ...process.env,
    SPIFFE_ENDPOINT_SOCKET: `unix://${said.workloadSocket}`,
    TOUCHMARK_AGENT_ADMIN_SOCKET: adminSocket,
    TOUCHMARK_SERVER_SOCKET: said.serverSocket,
  };
  const run = (name: Program, args: readonly string[], input = '') =>
    execute([binary(name), ...args], environment, input);
  return {
    ...said,
    adminSocket,
    pid: child.pid ?? 0,
    run,
    async register(path, selector, more = []) {
      const id = `spiffe://${said.trustDomain}${path}`;
      const flags = ['-parentID', said.agentId, '-spiffeID', id, '-selector', selector, '-output', 'json'];
      const made = await run('touchmark-server', ['entry', 'create', ...flags, ...more]);
      if (made.code !== 0) throw new Error(made.stderr);
      const found = /"id": *"([^"]+)"/.exec(made.stdout)?.[1];
      if (found === undefined) throw new Error(`no entry ID in ${made.stdout}`);
      return found;
    },
    stop: () => end(child),
  };
}

export function binary(name: Program): string {
  return join(repoRoot(), 'bin', name);
}

/** Whether a process is there; a zombie is not. */
export function isRunning(pid: number): boolean {
  return existsSync(`/proc/${pid}/exe`) && existsSync(`/proc/${pid}/fd/0`);
}

async function end(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const patience = setTimeout(() => child.kill('SIGKILL'), 20_000);
  await gone;
  clearTimeout(patience);
  return child.exitCode;
}

async function firstLine(child: ChildProcess): Promise<string> {
  const { stdout, stderr } = child;
  if (!stdout || !stderr) throw new Error('no pipes to the child');
  let complaints = '';
  stderr.setEncoding('utf8').on('data', (text: string) => {
    complaints += text;
  });
  const lines = createInterface({ input: stdout });
  const failed = once(child, 'exit').then(([code]) => {
    throw new Error(`touchmark dev ended with ${code}: ${complaints}`);
  });
  const late = new Promise<never>((_resolve, reject) => {
    setTimeout(
      () => reject(new Error(`touchmark dev was not ready in time: ${complaints}`)),
      START_MS,
    ).unref();
  });
  failed.catch(() => {});
  const [line] = await Promise.race([once(lines, 'line'), failed, late]);
  return String(line);
}

/** Runs a script with this Node.js, or another program, to its end. */
export function execute(
  command: readonly string[],
  env: NodeJS.ProcessEnv,
  input = '',
  program: string = process.execPath,
): Promise<Ran> {
  return new Promise((resolve) => {
    const options = { env, timeout: 60_000, maxBuffer: 16 * 1024 * 1024 };
    const child = execFile(program, command, options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, stdout, stderr, json: () => JSON.parse(stdout) });
    });
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}
