/**
 * What it costs the server to let a node in (join token, TLS, AttestAgent), against the TLS handshake alone, with records on disk
 * and in memory: `node dist/bench/attestation.js [nodes]`. Agents are a process of their own, so that only the server is counted.
 */
import { fork } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../src/clock.js';
import { silentLogger } from '../src/log.js';
import { tlsChannel, unixChannel } from '../src/rpc/channel.js';
import { createRpcClient } from '../src/rpc/client.js';
import { memoryKeyManager } from '../src/server/key-managers/memory.js';
import { startServer } from '../src/server/main.js';
import { Agent } from '../src/wire/gen/spire/server/agent_pb.js';
import { buildCsr } from '../src/x509/csr.js';
import { memoryDatastore } from '../test/fakes/memory-datastore.js';
import { testConfig } from '../test/fakes/test-server.js';
import { authority, identity } from '../test/rpc/tls-support.js';

const ROUNDS = 5;
const nodes = Number(process.argv[2] ?? 150);

/** In the child. */
async function attest(port: number, socket: string, count: number): Promise<void> {
  const operator = unixChannel(socket);
  const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const csr = buildCsr({ key });
  for (let i = 0; i < count; i += 1) {
    const { value } = await createRpcClient(Agent, operator).createJoinToken({ ttl: 600 });
    const channel = tlsChannel({ host: '127.0.0.1', port, verify: () => {} });
    const stream = createRpcClient(Agent, channel).attestAgent();
    const data = { type: 'join_token', payload: Buffer.from(value) };
    await stream.send({ step: { case: 'params', value: { data, params: { csr } } } });
    for await (const { step } of stream.responses) {
      if (step.case !== 'result') throw new Error('the server gave no result');
    }
    channel.close();
  }
  operator.close();
}

/** In the child. */
async function shakeHands(port: number, count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    await new Promise<void>((resolve, reject) => {
      const socket = connect({ port, rejectUnauthorized: false, ALPNProtocols: ['h2'] }, () => socket.end());
      socket.once('error', reject);
      socket.once('close', () => resolve()).resume();
    });
  }
}

/** Milliseconds of this process for each. */
async function measure(count: number, port: number, socket = ''): Promise<number> {
  const before = process.cpuUsage();
  await new Promise<void>((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), [String(count), 'client', String(port), socket]);
    child.once('exit', (code) =>
      code === 0 ? resolve() : reject(new Error(`the client ended with ${code}`)),
    );
  });
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000 / count;
}

async function listenBare(): Promise<{ port: number; close(): void }> {
  const { keyPem: key, chainPem: cert } = identity(authority('bench'), '/spire/server');
  const server = createServer(
    { key, cert, ca: [], requestCert: true, rejectUnauthorized: false, ALPNProtocols: ['h2'] },
    (socket) => socket.on('error', () => {}).end(),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as AddressInfo).port, close: () => void server.close() };
}

async function listenOurs(directory: string, onDisk: boolean) {
  const config = { ...testConfig(directory), audit: false };
  return startServer(
    config,
    { log: silentLogger(), clock: systemClock },
    { keys: memoryKeyManager(), ...(onDisk ? {} : { store: memoryDatastore() }) },
  );
}

async function main(): Promise<void> {
  const directories = await Promise.all([1, 2].map(() => mkdtemp(join(tmpdir(), 'tm-attest-'))));
  const [disk = '', memory = ''] = directories;
  const bare = await listenBare();
  const onDisk = await listenOurs(disk, true);
  const inMemory = await listenOurs(memory, false);
  const turn = async () => ({
    bare: await measure(nodes, bare.port),
    disk: await measure(nodes, onDisk.addresses.port, onDisk.addresses.socketPath),
    memory: await measure(nodes, inMemory.addresses.port, inMemory.addresses.socketPath),
  });
  // Twice, for the optimising compiler: what is left of it after that is small.
  for (let warm = 0; warm < 2; warm += 1) await turn();
  const ratios: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const ms = await turn();
    ratios.push(ms.disk / ms.bare);
    process.stdout.write(
      `TLS alone ${ms.bare.toFixed(2)} ms; join token + TLS + AttestAgent ${ms.disk.toFixed(2)} ms, ` +
        `with records in memory ${ms.memory.toFixed(2)} ms\n`,
    );
  }
  const median = ratios.toSorted((a, b) => a - b)[Math.floor(ROUNDS / 2)] ?? 0;
  process.stdout.write(`a node that joins / TLS alone: ${median.toFixed(2)}\n`);
  bare.close();
  await Promise.all([onDisk, inMemory].map((server) => server[Symbol.asyncDispose]()));
  for (const directory of directories) await rm(directory, { recursive: true, force: true });
}

const [, , , mode, port, socket = ''] = process.argv;
if (mode !== 'client') await main();
else if (socket === '') await shakeHands(Number(port), nodes);
else await attest(Number(port), socket, nodes);
