/**
 * What one call costs the server beyond what grpc-js costs by itself: `node dist/bench/calls.js [seconds]`. Both serve the same
 * method on Unix sockets to the same client, in turns; the client is a process of its own, so that only the server is counted.
 */
import { fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  Client,
  credentials,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
} from '@grpc/grpc-js';
import {
  CountAgentsRequestSchema,
  CountAgentsResponseSchema,
} from '../src/wire/gen/spire/server/agent_pb.js';
import { startTestServer, testConfig } from '../test/fakes/test-server.js';

const METHOD = '/spire.api.server.agent.v1.Agent/CountAgents';
const LANES = 8;
const ROUNDS = 6;
const seconds = Number(process.argv[2] ?? 6);
const plain = (bytes: Buffer) => bytes;

/** In the child: as many calls as can be made, one after the other on each of the connections. */
async function load(socket: string, forMs: number): Promise<number> {
  const end = Date.now() + forMs;
  let calls = 0;
  const lane = async () => {
    const client = new Client(`unix:${socket}`, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.default_authority': 'localhost',
    });
    for (; Date.now() < end; calls += 1) {
      await new Promise<void>((resolve, reject) => {
        client.makeUnaryRequest(METHOD, plain, plain, Buffer.alloc(0), (error) =>
          error ? reject(error) : resolve(),
        );
      });
    }
    client.close();
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return calls;
}

async function bareServer(socket: string): Promise<Server> {
  const server = new Server({ 'grpc.enable_channelz': 0 });
  type Request = ReturnType<typeof create<typeof CountAgentsRequestSchema>>;
  type Response = ReturnType<typeof create<typeof CountAgentsResponseSchema>>;
  const definition = {
    path: METHOD,
    requestStream: false as const,
    responseStream: false as const,
    requestDeserialize: (bytes: Buffer): Request => fromBinary(CountAgentsRequestSchema, bytes),
    requestSerialize: (message: Request) => Buffer.from(toBinary(CountAgentsRequestSchema, message)),
    responseSerialize: (message: Response) => Buffer.from(toBinary(CountAgentsResponseSchema, message)),
    responseDeserialize: (bytes: Buffer): Response => fromBinary(CountAgentsResponseSchema, bytes),
  };
  server.addService(
    { countAgents: definition },
    {
      countAgents: (_call: ServerUnaryCall<Request, Response>, reply: sendUnaryData<Response>) =>
        reply(null, create(CountAgentsResponseSchema, { count: 0 })),
    },
  );
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    ),
  );
  return server;
}

/** Microseconds of this process per call. */
async function measure(socket: string, ms: number): Promise<number> {
  const before = process.cpuUsage();
  const calls = await new Promise<number>((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), ['client', socket, String(ms)]);
    child.once('message', (count) => resolve(Number(count)));
    child.once('error', reject);
  });
  const { user, system } = process.cpuUsage(before);
  return (user + system) / calls;
}

async function main(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'tm-calls-'));
  const bare = await bareServer(join(directory, 'bare.sock'));
  const ours = await startTestServer({ config: { ...testConfig(directory), audit: false } });
  const turn = async (ms: number) => ({
    bare: await measure(join(directory, 'bare.sock'), ms),
    ours: await measure(ours.socketPath, ms),
  });
  await turn(1000);
  const ratios: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const us = await turn((seconds * 500) / ROUNDS);
    ratios.push(us.ours / us.bare);
    process.stdout.write(`grpc-js ${us.bare.toFixed(0)} us a call; ours ${us.ours.toFixed(0)} us\n`);
  }
  const median = ratios.toSorted((a, b) => a - b)[ROUNDS / 2] ?? 0;
  process.stdout.write(`ours / grpc-js: ${median.toFixed(2)}\n`);
  bare.forceShutdown();
  await ours.stop();
  await rm(directory, { recursive: true, force: true });
}

const [, , mode, socket = '', forMs] = process.argv;
if (mode === 'client') process.send?.(await load(socket, Number(forMs)));
else await main();
