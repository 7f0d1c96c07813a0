import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { serveWorkloads, type WorkloadServing } from '../../../src/agent/workloads/serve.js';
import { systemClock } from '../../../src/clock.js';
import type { SystemdUnits } from '../../../src/host/systemd-units.js';
import { createLogger, type Logger } from '../../../src/log.js';
import { type RpcChannel, unixChannel } from '../../../src/rpc/channel.js';
import { createRpcClient } from '../../../src/rpc/client.js';
import { isRpcError, type RpcError } from '../../../src/rpc/rpc-error.js';
import { SpiffeWorkloadAPI } from '../../../src/wire/gen/spiffe/workload_pb.js';
import { Explain } from '../../../src/wire/gen/touchmark/explain/v1/explain_pb.js';
import { type FakeIdentityStore, fakeIdentityStore } from '../../fakes/identity-store.js';

/** What every request to the Workload API carries. */
export const header = { metadata: { 'workload.spiffe.io': 'true' } };
/** A selector that this very process has. */
export const mine = `unix:uid:${process.getuid?.() ?? 0}`;
/** One that it has not. */
export const foreign = 'unix:uid:4294967294';

export type ServingConfig = WorkloadServing['config'];

export interface ServedWorkloads {
  readonly store: FakeIdentityStore;
  readonly socketPath: string;
  readonly adminSocketPath: string;
  readonly folder: string;
  /** A connection of its own. */
  channel(path?: string): RpcChannel;
  readonly api: ReturnType<typeof workloadClient>;
  readonly explain: ReturnType<typeof explainClient>;
  readonly admin: ReturnType<typeof explainClient>;
  stop(): Promise<void>;
}

export interface ServeOptions {
  readonly config?: Partial<ServingConfig>;
  readonly store?: FakeIdentityStore;
  readonly units?: SystemdUnits;
  readonly log?: Logger;
}

export const workloadClient = (channel: RpcChannel) => createRpcClient(SpiffeWorkloadAPI, channel);
const explainClient = (channel: RpcChannel) => createRpcClient(Explain, channel);

/** The agent's two sockets over a store that the test feeds; all gone when the test is over. */
export async function serveForTest(t: TestContext, options: ServeOptions = {}): Promise<ServedWorkloads> {
  const folder = await mkdtemp(join(tmpdir(), 'tm-workloads-'));
  const store = options.store ?? fakeIdentityStore();
  const config: ServingConfig = {
    socketPath: join(folder, 'api.sock'),
    adminSocketPath: join(folder, 'admin', 'api.sock'),
    workloadAttestors: { unix: { path: false, sha256: false, sizeLimit: 1 << 28 } },
    measurement: { securityfs: '/sys/kernel/security', userspaceLog: '' },
    allowUnauthenticatedVerifiers: false,
    limits: { connectionsPerUid: 256, streamsPerUid: 1024, jwtCache: 100 },
    ...options.config,
  };
  const { units, log = complaints() } = options;
  const served = await serveWorkloads({
    config,
    store,
    log,
    clock: systemClock,
    ...(units ? { units } : {}),
  });
  const open: RpcChannel[] = [];
  const channel = (path = config.socketPath) => {
    const made = unixChannel(path);
    open.push(made);
    return made;
  };
  let stopped: Promise<void> | undefined;
  const stop = () => {
    stopped ??= Promise.resolve(served[Symbol.asyncDispose]());
    return stopped;
  };
  t.after(async () => {
    for (const one of open) one.close();
    await stop();
    store[Symbol.dispose]();
    await rm(folder, { recursive: true, force: true });
  });
  const api = workloadClient(channel());
  const { socketPath, adminSocketPath } = config;
  const admin = explainClient(channel(adminSocketPath));
  return {
    store,
    socketPath,
    adminSocketPath,
    folder,
    channel,
    api,
    explain: explainClient(channel()),
    admin,
    stop,
  };
}

/** A fault of ours is told to a client as `internal error`; what it was stands here. */
function complaints(): Logger {
  const write = (line: string) => void process.stderr.write(line);
  return createLogger({ format: 'text', write, clock: systemClock, journal: false }, 'error');
}

/** A stream, read by hand. */
export function reader<T>(stream: AsyncIterable<T>) {
  const iterator = stream[Symbol.asyncIterator]();
  let waiting: Promise<IteratorResult<T>> | undefined;
  return {
    /** The next message; fails when none comes. */
    async next(ms = 3_000): Promise<T> {
      const task = waiting ?? iterator.next();
      waiting = undefined;
      const item = await withLimit(task, ms, 'no message came');
      if (item.done) throw new Error('the stream ended with OK');
      return item.value;
    },
    /** Nothing is said for so long. */
    async silent(ms = 150): Promise<boolean> {
      waiting ??= iterator.next();
      const quiet = Symbol('quiet');
      const timer = new Promise((resolve) => setTimeout(resolve, ms, quiet));
      return (await Promise.race([waiting.catch(() => undefined), timer])) === quiet;
    },
    /** How the stream ends: always with an error. */
    async end(ms = 3_000): Promise<RpcError> {
      const task = waiting ?? iterator.next();
      waiting = undefined;
      return rpcFailure(withLimit(task, ms, 'the stream did not end'));
    },
    leave: () => iterator.return?.(),
  };
}

export async function rpcFailure(task: Promise<unknown>): Promise<RpcError> {
  try {
    await task;
  } catch (error) {
    if (isRpcError(error)) return error;
    throw error;
  }
  throw new Error('expected the call to fail');
}

async function withLimit<T>(task: Promise<T>, ms: number, why: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${why} within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([task, limit]);
  } finally {
    clearTimeout(timer);
  }
}
