import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/clock.js';
import type { ServerConfig } from '../../src/config/server-config.js';
import { createLogger, type Logger } from '../../src/log.js';
import { memoryKeyManager } from '../../src/server/key-managers/memory.js';
import { type RunningServer, startServer } from '../../src/server/main.js';
import { parseTrustDomain } from '../../src/spiffe/id.js';
import { type MemoryDatastore, memoryDatastore } from './memory-datastore.js';

/** A whole server in this process: real gRPC on real sockets, records and keys in memory. */
export interface TestServer extends AsyncDisposable {
  readonly server: RunningServer;
  readonly context: RunningServer['context'];
  readonly config: ServerConfig;
  readonly socketPath: string;
  readonly port: number;
  readonly store: MemoryDatastore;
  /** What was logged, parsed, audit lines included. */
  readonly lines: Record<string, unknown>[];
  stop(): Promise<void>;
}

export interface TestServerOptions {
  readonly config?: Partial<ServerConfig>;
  readonly store?: MemoryDatastore;
  readonly clock?: typeof systemClock;
  readonly vendorAnchorsDir?: string;
}

export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const directory = await mkdtemp(join(tmpdir(), 'tm-server-'));
  const config: ServerConfig = { ...testConfig(directory), ...options.config };
  const store = options.store ?? memoryDatastore();
  const lines: Record<string, unknown>[] = [];
  const clock = options.clock ?? systemClock;
  const log = recordingLogger(lines);
  const { vendorAnchorsDir } = options;
  const overrides = {
    store,
    keys: memoryKeyManager(),
    ...(vendorAnchorsDir === undefined ? {} : { vendorAnchorsDir }),
  };
  const server = await startServer(config, { log, clock }, overrides);
  const stop = async () => {
    await server[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  };
  const { socketPath, port } = server.addresses;
  const { context } = server;
  return { server, context, config, socketPath, port, store, lines, stop, [Symbol.asyncDispose]: stop };
}

/** Everything on, no limits, no chips: what a test changes it names. */
export function testConfig(directory: string): ServerConfig {
  return {
    trustDomain: parseTrustDomain('example.org'),
    dataDir: directory,
    socketPath: join(directory, 'api.sock'),
    bindAddress: '127.0.0.1',
    bindPort: 0,
    log: { level: 'info', format: 'json' },
    audit: true,
    ca: {
      keyType: 'ec-p256',
      ttl: 24 * 3600,
      subject: { country: 'US', organization: 'Touchmark', commonName: '' },
    },
    jwt: { issuer: '', keyType: 'ec-p256' },
    svid: { x509Ttl: 3600, jwtTtl: 300, agentTtl: 3600 },
    bundleRefreshHint: 300,
    weakSelectors: 'warn',
    keyManager: { type: 'memory' },
    datastore: { type: 'level', path: join(directory, 'datastore') },
    attestation: { joinToken: {} },
    administrators: [],
  };
}

function recordingLogger(lines: Record<string, unknown>[]): Logger {
  const write = (line: string) => void lines.push(JSON.parse(line));
  return createLogger({ format: 'json', write, clock: systemClock, journal: false }, 'debug');
}
