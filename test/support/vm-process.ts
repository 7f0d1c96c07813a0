import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** A program that ends when this process ends, however that comes about. */
export interface VmProcess {
  readonly pid: number;
  /** The end of what it complained about. */
  complaint(): string;
  hasEnded(): boolean;
  ended: Promise<void>;
  kill(): Promise<void>;
}

export function startProcess(program: string, args: readonly string[]): VmProcess {
  const command = ['--pdeathsig', 'KILL', program, ...args];
  const child = spawn('setpriv', command, { stdio: ['ignore', 'ignore', 'pipe'] });
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-2000);
  });
  const ended = once(child, 'close').then(
    () => {},
    (error) => {
      complaint += String(error);
    },
  );
  return {
    pid: child.pid ?? 0,
    complaint: () => complaint,
    hasEnded: () => hasEnded(child),
    ended,
    async kill() {
      if (!hasEnded(child)) child.kill('SIGKILL');
      await ended;
    },
  };
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
}

/** Waits for a socket of a program that takes only one caller. */
export async function appears(path: string, owner: VmProcess, patience = 10_000): Promise<void> {
  for (const end = Date.now() + patience; !existsSync(path); await sleep(10)) {
    if (owner.hasEnded() || Date.now() > end)
      throw new Error(`${path} does not appear: ${owner.complaint()}`);
  }
}

/** Connects to a socket that a starting program is about to open. */
export async function connectTo(path: string, owner: VmProcess, patience = 10_000): Promise<Socket> {
  for (const end = Date.now() + patience; ; await sleep(20)) {
    const socket = createConnection(path);
    const failure = await once(socket, 'connect').then(
      () => undefined,
      (error: Error) => error,
    );
    if (!failure) return socket.setEncoding('utf8');
    if (owner.hasEnded() || Date.now() > end) {
      throw new Error(`nothing listens on ${path}: ${owner.complaint()}`, { cause: failure });
    }
  }
}
