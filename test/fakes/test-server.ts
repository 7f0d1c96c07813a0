import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/clock.js';
import type { ServerConfig } from '../../src/config/server-config.js';
import { createLogger, type Logger } from '../../src/log.js';
import { type RpcChannel, tlsChannel, unixChannel } from '../../src/rpc/channel.js';
import { createRpcClient } from '../../src/rpc/client.js';
import { memoryKeyManager } from '../../src/server/key-managers/memory.js';
import { type RunningServer, startServer } from '../../src/server/main.js';
import { parseTrustDomain } from '../../src/spiffe/id.js';
import { Agent } from '../../src/wire/gen/spire/server/agent_pb.js';
import { buildCsr } from '../../src/x509/csr.js';
import { writePem } from '../../src/x509/pem.js';
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

/** A node that attested by join token, with a channel of its own. */
export interface TestAgent {
  readonly id: string;
  readonly chain: readonly Uint8Array[];
  readonly key: KeyObject;
  readonly channel: RpcChannel;
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

/** A channel as an operator has it. Closed with the server's end; close it yourself to end it earlier. */
export function operatorChannel(server: TestServer): RpcChannel {
  return unixChannel(server.socketPath);
}

/** Over TLS, believing whoever answers on the test's own port; without `identity` as nobody. */
export function agentChannel(
  server: TestServer,
  identity?: { key: KeyObject; chain: readonly Uint8Array[] },
): RpcChannel {
  const tls =
    identity === undefined
      ? undefined
      : {
          keyPem: identity.key.export({ format: 'pem', type: 'pkcs8' }).toString(),
          chainPem: identity.chain.map((der) => writePem('CERTIFICATE', der)).join(''),
        };
  return tlsChannel({ host: '127.0.0.1', port: server.port, verify: () => {}, identity: () => tls });
}

export function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

export async function attestJoinToken(
  server: TestServer,
  token: { ttl?: number; agentPath?: string } = {},
): Promise<TestAgent> {
  const operator = operatorChannel(server);
  const agentId =
    token.agentPath === undefined ? {} : { agentId: { trustDomain: 'example.org', path: token.agentPath } };
  const { value } = await createRpcClient(Agent, operator).createJoinToken({
    ttl: token.ttl ?? 600,
    ...agentId,
  });
  operator.close();
  const anonymous = agentChannel(server);
  const key = newKey();
  const stream = createRpcClient(Agent, anonymous).attestAgent();
  const data = { type: 'join_token', payload: Buffer.from(value) };
  await stream.send({ step: { case: 'params', value: { data, params: { csr: buildCsr({ key }) } } } });
  for await (const { step } of stream.responses) {
    if (step.case !== 'result' || step.value.svid?.id === undefined) continue;
    const { id, certChain: chain } = step.value.svid;
    anonymous.close();
    return {
      id: `spiffe://${id.trustDomain}${id.path}`,
      chain,
      key,
      channel: agentChannel(server, { key, chain }),
    };
  }
  throw new Error('the server gave no result');
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
    measurement: { tickInterval: 30, keepEvidence: 86_400, blastRadius: 100 },
    administrators: [],
    record: { keep: 0 },
  };
}

function recordingLogger(lines: Record<string, unknown>[]): Logger {
  const write = (line: string) => void lines.push(JSON.parse(line));
  return createLogger({ format: 'json', write, clock: systemClock, journal: false }, 'debug');
}
