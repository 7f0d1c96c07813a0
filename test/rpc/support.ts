import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { systemClock } from '../../src/clock.js';
import { silentLogger } from '../../src/log.js';
import { type RpcChannel, unixChannel } from '../../src/rpc/channel.js';
import { createRpcServer, type RpcServer, type RpcServerOptions } from '../../src/rpc/server.js';
import { listenUnix } from '../../src/rpc/unix-listener.js';

export interface Caller {
  readonly fd: number;
  readonly name: string;
}

export interface Served {
  readonly server: RpcServer<Caller>;
  readonly path: string;
  channel(): RpcChannel;
  raw(): Promise<Socket>;
}

/** A server on a Unix socket of its own, gone when the test is over. */
export async function serve(
  t: TestContext,
  add: (server: RpcServer<Caller>) => void,
  options: Partial<RpcServerOptions<Caller>> = {},
  name: (count: number) => string = () => 'tester',
): Promise<Served> {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'api.sock');
  const server = createRpcServer<Caller>({ clock: systemClock, log: silentLogger(), ...options });
  add(server);
  let count = 0;
  const listener = await listenUnix<Caller>({
    server,
    log: silentLogger(),
    clock: systemClock,
    at: { path, mode: 0o600 },
    identify: async (fd) => {
      count += 1;
      return { fd, name: name(count) };
    },
    keyOf: (caller) => caller.name,
  });
  const open: { close(): void }[] = [];
  t.after(async () => {
    for (const one of open) one.close();
    await Promise.all([listener.close(), server.close(100)]);
  });
  return {
    server,
    path,
    channel() {
      const channel = unixChannel(path);
      open.push(channel);
      return channel;
    },
    async raw() {
      const socket = await rawConnect(path);
      open.push({ close: () => socket.destroy() });
      return socket;
    },
  };
}

export function rawConnect(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => resolve(socket));
    socket.once('error', reject);
    socket.on('error', () => {});
  });
}

export async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'touchmark-rpc-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

export async function failureOf(task: Promise<unknown>): Promise<unknown> {
  try {
    await task;
  } catch (error) {
    return error;
  }
  throw new Error('expected a failure');
}
