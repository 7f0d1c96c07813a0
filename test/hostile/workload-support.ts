import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { type ServedWorkloads, serveForTest } from '../agent/workloads/support.js';

/** A user of its own for the attacker: no name, no rights. */
export const attacker = 20_101;
export const files = { unix: { path: true, sha256: true, sizeLimit: 1 << 28 } };
export const rawCall = join(import.meta.dirname, 'workload-raw.js');

export function needsRoot(t: TestContext): boolean {
  if (process.getuid?.() === 0) return true;
  if (process.env['CI'] === 'true') throw new Error('CI runs as root');
  t.skip('needs root to start processes of other users');
  return false;
}

export function folder(t: TestContext, parent = tmpdir()): string {
  const directory = mkdtempSync(join(parent, 'tm-hostile-'));
  chmodSync(directory, 0o755);
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** The agent's sockets, where every user can reach the public one. */
export async function agent(t: TestContext): Promise<ServedWorkloads> {
  const served = await serveForTest(t, { config: { workloadAttestors: files } });
  chmodSync(served.folder, 0o755);
  served.store.serve();
  return served;
}

export function started(t: TestContext, program: string, args: readonly string[]): ChildProcess {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  return child;
}

/** The lines that a child prints, one at a time. */
export function linesOf(child: ChildProcess): () => Promise<Record<string, unknown>> {
  if (!child.stdout) throw new Error('no pipe');
  const iterator = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return async () => {
    const { value, done } = await iterator.next();
    if (done) throw new Error('the child ended');
    return JSON.parse(value) as Record<string, unknown>;
  };
}

export const asAttacker = ['setpriv', `--reuid=${attacker}`, `--regid=${attacker}`, '--clear-groups'];

/**
 * Connects, then splits in two: one half goes on with the descriptor and waits to be told to speak, the half that the
 * kernel knows as the caller becomes something else.
 */
export function splitCaller(t: TestContext, socket: string, becomes: string) {
  // The interpreter is loaded as root: it may lie where the attacker cannot look.
  const script = `import os,socket,sys
os.setgroups([]); os.setgid(${attacker}); os.setuid(${attacker})
s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
if os.fork()==0:
    os.dup2(s.fileno(),9)
    os.execv(sys.argv[2],sys.argv[2:5])
${becomes}`;
  const directory = folder(t);
  const [speaker, go] = [join(directory, 'raw.mjs'), join(directory, 'go')];
  copyFileSync(rawCall, speaker);
  const child = started(t, 'python3', ['-c', script, socket, process.execPath, speaker, go]);
  const next = linesOf(child);
  return {
    child,
    ready: next,
    speak() {
      writeFileSync(go, '');
      return next();
    },
  };
}

export function exeOf(pid: number | undefined): string {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    return '';
  }
}

export function sha256(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

export async function selectorsOf(
  admin: ServedWorkloads['admin'],
  pid: number | undefined,
): Promise<string[]> {
  const { selectors } = await admin.explain({ pid: pid ?? 0 });
  return selectors.map(({ type, value }) => `${type}:${value}`);
}
