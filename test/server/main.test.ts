import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '../../src/clock.js';
import { silentLogger } from '../../src/log.js';
import { unixChannel } from '../../src/rpc/channel.js';
import { createRpcClient } from '../../src/rpc/client.js';
import { memoryKeyManager } from '../../src/server/key-managers/memory.js';
import { runServer, startServer } from '../../src/server/main.js';
import { Health } from '../../src/wire/gen/grpc/health_pb.js';
import { Entry } from '../../src/wire/gen/spire/server/entry_pb.js';
import { memoryDatastore } from '../fakes/memory-datastore.js';
import { attestJoinToken, startTestServer, testConfig } from '../fakes/test-server.js';
import { entry, refused, stage } from './api/support.js';

const surroundings = { log: silentLogger(), clock: systemClock };

async function temporary(t: { after(task: () => Promise<void>): void }): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'tm-main-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

test('what was acknowledged is there after a restart, on the same authorities', async (t) => {
  const directory = await temporary(t);
  const config = {
    ...testConfig(directory),
    keyManager: { type: 'disk', path: join(directory, 'keys') } as const,
  };
  const bundle = async () => {
    const server = await startServer(config, surroundings);
    const channel = unixChannel(config.socketPath);
    const client = createRpcClient(Entry, channel);
    await client.batchCreateEntry({ entries: [entry('/kept', 'spiffe://example.org/p')] });
    const { count } = await client.countEntries({});
    const { der } = server.context.authority.bundle().x509Authorities[0] ?? {};
    channel.close();
    await server[Symbol.asyncDispose]();
    return { count, der };
  };
  const first = await bundle();
  const second = await bundle();
  assert.deepEqual([first.count, second.count], [1, 1]);
  assert.deepEqual(second.der, first.der);
});

test('a second server on one data directory is refused with a sentence', async (t) => {
  const directory = await temporary(t);
  const config = testConfig(directory);
  const server = await startServer(config, surroundings, { keys: memoryKeyManager() });
  t.after(() => server[Symbol.asyncDispose]());
  const other = { ...config, socketPath: join(directory, 'other.sock') };
  await assert.rejects(startServer(other, surroundings, { keys: memoryKeyManager() }), {
    code: 'directory_locked',
    message: new RegExp(`is in use by process ${process.pid}`),
  });
  assert.equal(existsSync(other.socketPath), false);
});

test('a socket that another server answers on is left alone, and nothing stays open', async (t) => {
  const directory = await temporary(t);
  const config = testConfig(directory);
  const parts = () => ({ keys: memoryKeyManager(), store: memoryDatastore() });
  const server = await startServer(config, surroundings, parts());
  await assert.rejects(startServer(config, surroundings, parts()), { code: 'socket_in_use' });
  await assert.rejects(
    startServer(
      { ...config, bindPort: server.addresses.port, socketPath: join(directory, 'b.sock') },
      surroundings,
      parts(),
    ),
    { code: 'server_socket_failed', message: /EADDRINUSE/ },
  );
  assert.equal(existsSync(join(directory, 'b.sock')), false);
  await server[Symbol.asyncDispose]();
  const again = await startServer(config, surroundings, parts());
  await again[Symbol.asyncDispose]();
});

test('something else at the path of the socket is not removed', async (t) => {
  const directory = await temporary(t);
  const config = testConfig(directory);
  await writeFile(config.socketPath, 'mine');
  const parts = { keys: memoryKeyManager(), store: memoryDatastore() };
  await assert.rejects(startServer(config, surroundings, parts), { code: 'socket_path_invalid' });
  assert.equal(statSync(config.socketPath).size, 4);
});

test('the operators’ socket is for its owner and group', async (t) => {
  const on = await stage(t);
  assert.equal(statSync(on.server.socketPath).mode & 0o777, 0o770);
});

test('a server that stops ends its streams with Unavailable', async (t) => {
  const server = await startTestServer();
  const channel = unixChannel(server.socketPath);
  t.after(async () => channel.close());
  const watch = createRpcClient(Health, channel).watch({})[Symbol.asyncIterator]();
  const first = await watch.next();
  assert.equal(first.value?.status, 1);
  const end = (async () => {
    for (let next = await watch.next(); next.done !== true; next = await watch.next());
  })();
  await Promise.all([refused(end, 'UNAVAILABLE', /stopping/), server.stop()]);
  assert.equal(existsSync(server.socketPath), false);
});

test('runServer serves until its signal fires, and leaves nothing open', async (t) => {
  const directory = await temporary(t);
  await mkdir(join(directory, 'data'));
  const config = { ...testConfig(directory), dataDir: join(directory, 'data') };
  const stop = new AbortController();
  const running = runServer(config, { ...surroundings, signal: stop.signal });
  const channel = unixChannel(config.socketPath);
  const client = createRpcClient(Entry, channel);
  const { count } = await client.countEntries({}, { waitForReady: true, deadline: Date.now() + 5000 });
  assert.equal(count, 0);
  channel.close();
  stop.abort();
  await running;
  assert.equal(existsSync(config.socketPath), false);
  await runServer(config, { ...surroundings, signal: AbortSignal.abort() });
});

test('a thousand silent connections keep nobody out', async (t) => {
  const on = await stage(t);
  const sockets = Array.from({ length: 1000 }, (_, at) =>
    at % 2 === 0 ? connect(on.server.socketPath) : connect(on.server.port, '127.0.0.1'),
  );
  for (const socket of sockets) socket.on('error', () => {});
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
  });
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal((await on.operator(Entry).countEntries({})).count, 0);
  const agent = await on.agent();
  await on.as(agent, Entry).getAuthorizedEntries({});
});

test('a server with agents that are connected, idle or half-way in, stops promptly', async (t) => {
  const server = await startTestServer();
  const agents = await Promise.all(Array.from({ length: 3 }, () => attestJoinToken(server)));
  const channels = agents.map(({ channel }) => channel);
  t.after(async () => {
    for (const channel of channels) channel.close();
  });
  for (const channel of channels) await createRpcClient(Entry, channel).getAuthorizedEntries({});
  const silent = connect(server.port, '127.0.0.1').on('error', () => {});
  await new Promise((resolve) => silent.once('connect', resolve));
  const ended = new Promise((resolve) => silent.once('close', resolve).resume());
  const started = Date.now();
  await server.stop();
  await ended;
  assert.ok(Date.now() - started < 1000, `${Date.now() - started} ms`);
});
