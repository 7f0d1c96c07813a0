import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { lstat, rename, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { create } from '@bufbuild/protobuf';
import { systemClock } from '../../src/clock.js';
import { TouchmarkError } from '../../src/errors.js';
import { silentLogger } from '../../src/log.js';
import { unixChannel } from '../../src/rpc/channel.js';
import { createRpcClient } from '../../src/rpc/client.js';
import { createRpcServer, type RpcServer } from '../../src/rpc/server.js';
import { listenUnix, type UnixListenerOptions } from '../../src/rpc/unix-listener.js';
import { CountEntriesResponseSchema, Entry } from '../../src/wire/gen/spire/server/entry_pb.js';
import { until } from '../fakes/manual-clock.js';
import { type Caller, failureOf, rawConnect, serve, sleep, temporaryFolder } from './support.js';

const counting = (server: RpcServer<Caller>) =>
  server.add(Entry, { countEntries: async () => create(CountEntriesResponseSchema, { count: 1 }) });

type At = UnixListenerOptions<Caller>['at'];

/** A listener alone, for what serve() does not offer. */
function listen(at: At, more: Partial<UnixListenerOptions<Caller>> = {}) {
  const server = createRpcServer<Caller>({ clock: systemClock, log: silentLogger() });
  counting(server);
  const opened = listenUnix<Caller>({
    server,
    log: silentLogger(),
    clock: systemClock,
    at,
    identify: async (fd) => ({ fd, name: 'x' }),
    keyOf: (caller) => caller.name,
    ...more,
  });
  return { server, opened };
}

test('the socket has its mode, its folder is made, and it is gone after close', async (t) => {
  const path = join(await temporaryFolder(t), 'a', 'b', 'api.sock');
  const { server, opened } = listen({ path, mode: 0o620 });
  const listener = await opened;
  const found = await lstat(path);
  assert.ok(found.isSocket());
  assert.equal(found.mode & 0o777, 0o620);
  await listener.close();
  await server.close(0);
  await assert.rejects(lstat(path), { code: 'ENOENT' });
});

test('a socket that was left behind is replaced; one that is served, or a file, is not', async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'api.sock');
  // A process that died leaves its socket: made by moving it away from the server that will unlink it.
  const dead = createServer().listen(join(folder, 'old.sock'));
  await until('it listens', () => dead.listening);
  await rename(join(folder, 'old.sock'), path);
  await new Promise((resolve) => dead.close(resolve));
  const first = listen({ path, mode: 0o600 });
  const listener = await first.opened;
  t.after(() => Promise.all([listener.close(), first.server.close(0)]));

  const second = await failureOf(listen({ path, mode: 0o600 }).opened);
  assert.ok(second instanceof TouchmarkError && second.code === 'socket_in_use');
  assert.equal(second.message, `another process serves on ${path}`);

  const file = join(folder, 'file');
  await writeFile(file, 'precious');
  const third = await failureOf(listen({ path: file, mode: 0o600 }).opened);
  assert.ok(third instanceof TouchmarkError && third.code === 'socket_path_invalid');
  assert.match(third.message, /something that is not a socket stands there$/);
});

test('a path that is relative, too long or forbidden is refused with a sentence', async (t) => {
  const folder = await temporaryFolder(t);
  const failure = async (path: string) => {
    const error = await failureOf(listen({ path, mode: 0o600 }).opened);
    assert.ok(error instanceof TouchmarkError && error.code === 'socket_path_invalid', String(error));
    return error.message;
  };
  assert.match(await failure('api.sock'), /^socket path "api\.sock": it is not absolute$/);
  assert.match(await failure(`/tmp/${'a'.repeat(110)}`), /it is longer than 107 bytes$/);
  await writeFile(join(folder, 'plain'), '');
  assert.match(await failure(join(folder, 'plain', 'x.sock')), /^cannot listen on .*ENOTDIR|EEXIST/);
});

test('a listening descriptor that was handed over is served', async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'api.sock');
  const outer = createServer().listen(join(folder, 'made.sock'));
  await until('it listens', () => outer.listening);
  // Away from where its maker would unlink it.
  await rename(join(folder, 'made.sock'), path);
  const { fd } = (outer as unknown as { _handle: { fd: number } })._handle;
  // A descriptor is handed over to another process, as a service manager does it.
  const script = fileURLToPath(new URL('./serve-descriptor.js', import.meta.url));
  const child = spawn(process.execPath, [script], { stdio: ['ignore', 'ignore', 'inherit', fd] });
  const channel = unixChannel(path);
  t.after(() => {
    channel.close();
    child.kill();
  });
  // Only one of the two may accept.
  outer.close();
  const deadline = Date.now() + 5000;
  assert.equal((await createRpcClient(Entry, channel).countEntries({}, { deadline })).count, child.pid);
});

test('nothing is read before the caller is known, and nothing is lost by it', async (t) => {
  const path = join(await temporaryFolder(t), 'api.sock');
  let release: (() => void) | undefined;
  const sockets: Socket[] = [];
  const { server, opened } = listen(
    { path, mode: 0o600 },
    {
      identify: (fd, socket) =>
        new Promise((resolve) => {
          sockets.push(socket);
          release = () => resolve({ fd, name: 'x' });
        }),
    },
  );
  const listener = await opened;
  const channel = unixChannel(path);
  t.after(async () => {
    channel.close();
    await Promise.all([listener.close(), server.close(100)]);
  });
  const call = createRpcClient(Entry, channel).countEntries({});
  await until('identify was asked', () => release !== undefined);
  await sleep(50);
  assert.equal(sockets[0]?.bytesRead, 0);
  release?.();
  assert.equal((await call).count, 1);
});

test('a caller that cannot be identified, or not in time, is closed', async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'api.sock');
  const dropped: string[] = [];
  let mode: 'throw' | 'hang' | 'key' = 'throw';
  const { server, opened } = listen(
    { path, mode: 0o600 },
    {
      identifyTimeoutMs: 50,
      identify: (fd) => {
        if (mode === 'key') return Promise.resolve({ fd, name: 'x' });
        return mode === 'throw' ? Promise.reject(new Error('pid 0')) : new Promise(() => {});
      },
      keyOf: () => {
        throw new Error('no key');
      },
      drop: (caller) => void dropped.push(caller.name),
    },
  );
  const listener = await opened;
  t.after(() => Promise.all([listener.close(), server.close(0)]));
  for (const next of ['throw', 'hang', 'key'] as const) {
    mode = next;
    const socket = await rawConnect(path);
    await new Promise((resolve) => socket.once('close', resolve).resume());
    assert.equal(server.connectionCount, 0);
  }
  assert.deepEqual(dropped, ['x'], 'what was identified is released');
});

test('one caller at its limit loses its longest idle connection, not its place', async (t) => {
  const closed: Caller[] = [];
  const served = await serve(t, counting, {
    limits: { total: 100, perKey: 3 },
    onClose: (caller) => void closed.push(caller),
  });
  const idle = [await served.raw(), await served.raw(), await served.raw()];
  await until('all are in', () => served.server.connectionCount === 3);
  const ended = new Promise((resolve) => idle[0]?.once('close', resolve).resume());
  assert.equal((await createRpcClient(Entry, served.channel()).countEntries({})).count, 1);
  await ended;
  assert.equal(served.server.connectionCount, 3);
  assert.equal(closed.length, 1);
});

test('a connection with a running call is not closed for another one; the new one is refused', async (t) => {
  let finish: (() => void) | undefined;
  const served = await serve(
    t,
    (server) =>
      server.add(Entry, {
        countEntries: () =>
          new Promise((resolve) => {
            finish = () => resolve(create(CountEntriesResponseSchema, { count: 2 }));
          }),
      }),
    { limits: { total: 1, perKey: 5 } },
  );
  const call = createRpcClient(Entry, served.channel()).countEntries({});
  await until('it runs', () => finish !== undefined);
  const refused = await served.raw();
  await new Promise((resolve) => refused.once('close', resolve).resume());
  finish?.();
  assert.equal((await call).count, 2);
});

test('at the total limit the caller that holds most makes room', async (t) => {
  const served = await serve(t, counting, { limits: { total: 10, perKey: 10 } }, (n) =>
    n <= 10 ? 'greedy' : 'modest',
  );
  for (let n = 0; n < 10; n += 1) await served.raw();
  await until('all are in', () => served.server.connectionCount === 10);
  assert.equal((await createRpcClient(Entry, served.channel()).countEntries({})).count, 1);
  assert.equal(served.server.connectionCount, 10);
});

test('a thousand idle connections leave it serving, and a silent one is closed in time', async (t) => {
  const served = await serve(t, counting, { firstByteTimeoutMs: 300 });
  // One after the other: both ends share one event loop here, which accepts once in each turn.
  for (let n = 0; n < 1000; n += 1) await served.raw();
  assert.ok(served.server.connectionCount <= 256, `${served.server.connectionCount} are held`);
  assert.equal((await createRpcClient(Entry, served.channel()).countEntries({})).count, 1);
  await until('the silent ones are gone', () => served.server.connectionCount === 1);
});

test('garbage, half requests and half-open connections leave it serving', async (t) => {
  const served = await serve(t, counting, { keepaliveMs: 200, firstByteTimeoutMs: 300 });
  const client = createRpcClient(Entry, served.channel());
  const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
  const attacks = [
    Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
    Buffer.alloc(4096, 0xff),
    preface.subarray(0, 10),
    Buffer.concat([preface, Buffer.alloc(1000, 0x41)]),
    Buffer.concat([preface, settings, Buffer.from([0xff, 0xff, 0xff, 1, 4, 0, 0, 0, 1])]),
    Buffer.concat([
      preface,
      settings,
      Buffer.from([0, 0, 5, 1, 4, 0, 0, 0, 1, 0x82, 0x86, 0x84, 0xff, 0xff]),
    ]),
    Buffer.concat([preface, settings, Buffer.from([0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0])]),
  ];
  for (const bytes of attacks) {
    const socket = await served.raw();
    socket.write(bytes);
    await sleep(5);
    assert.equal((await client.countEntries({})).count, 1);
    socket.end();
  }
  for (let seed = 1; seed <= 100; seed += 1) {
    const socket = await served.raw();
    const noise = Buffer.from(Array.from({ length: 64 }, (_, n) => (seed * 2654435761 * (n + 1)) >>> 24));
    socket.end(Buffer.concat([preface, settings, noise]));
  }
  assert.equal((await client.countEntries({})).count, 1);
  await until('their connections are gone', () => served.server.connectionCount === 1);
});

test('a listener is closed at once: who is being identified is dropped, and who is served is served', async (t) => {
  const path = join(await temporaryFolder(t), 'api.sock');
  const asked: (() => void)[] = [];
  let dropped = 0;
  const { server, opened } = listen(
    { path, mode: 0o600 },
    {
      identify: async (fd) => {
        if (asked.push(() => {}) > 1) await new Promise<void>((resolve) => asked.push(resolve));
        return { fd, name: 'x' };
      },
      drop: () => {
        dropped += 1;
      },
    },
  );
  const listener = await opened;
  const channel = unixChannel(path);
  t.after(async () => {
    channel.close();
    await server.close(0);
  });
  const client = createRpcClient(Entry, channel);
  assert.equal((await client.countEntries({})).count, 1);
  const waiting = await rawConnect(path);
  await until('the second caller is being identified', () => asked.length === 3);
  const ended = new Promise((resolve) => waiting.once('close', resolve).resume());
  await listener.close();
  await ended;
  await assert.rejects(lstat(path), { code: 'ENOENT' });
  assert.equal((await client.countEntries({})).count, 1);
  asked[2]?.();
  await until('it is dropped', () => dropped === 1);
});
