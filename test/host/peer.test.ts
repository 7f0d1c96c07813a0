import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { type Peer, peerOf } from '../../src/host/peer.js';
import { openProcess } from '../../src/host/process-handle.js';

const directory = mkdtempSync(join(tmpdir(), 'tm-peer-'));
after(() => rmSync(directory, { recursive: true, force: true }));
let sockets = 0;

interface Accepted {
  server: Server;
  child: ChildProcess;
  socket: Socket;
  fd: number;
}

/** Lets a process of its own connect, as this user or another, and hands over the accepted end. */
async function accepted(prelude = '', keep = true): Promise<Accepted> {
  sockets += 1;
  const path = join(directory, `s${sockets}`);
  const server = createServer({ pauseOnConnect: true }).listen(path);
  await once(server, 'listening');
  const code = `const s = require('node:net').connect(${JSON.stringify(path)});
    s.on('connect', () => { ${prelude} ${keep ? '' : 'process.kill(process.pid, "SIGKILL")'} });
    s.on('error', () => {}); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'ignore', 'inherit'] });
  const [socket] = (await once(server, 'connection')) as [Socket];
  socket.on('error', () => {});
  const { _handle: handle } = socket as unknown as { _handle: { fd: number } };
  return { server, child, socket, fd: handle.fd };
}

async function end({ server, child, socket }: Accepted): Promise<void> {
  socket.destroy();
  server.close();
  if (child.exitCode === null && child.signalCode === null) {
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }
}

const exited = (peer: Peer) => new Promise<void>((resolve) => peer.process.onExit(resolve));

describe('the peer of a Unix socket', () => {
  test('is the process that connected', async () => {
    const connection = await accepted();
    const peer = peerOf(connection.fd);
    assert.equal(peer.pid, connection.child.pid);
    assert.equal(peer.uid, process.getuid?.());
    assert.equal(peer.gid, process.getgid?.());
    const groups = /^Groups:(.*)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? '';
    assert.deepEqual(peer.groups, groups.trim().split(/\s+/).filter(Boolean).map(Number));
    const stat = readFileSync(`/proc/${peer.pid}/stat`, 'latin1');
    assert.equal(String(peer.startTime), stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
    assert.equal(peer.process.alive(), true);
    peer.process.close();
    assert.equal(peer.process.alive(), false);
    await end(connection);
  });

  test('ends with an event, without polling, and is not alive from then on', async () => {
    const connection = await accepted();
    const peer = peerOf(connection.fd);
    const gone = exited(peer);
    const started = performance.now();
    connection.child.kill('SIGKILL');
    await gone;
    assert.ok(performance.now() - started < 500);
    assert.equal(peer.process.alive(), false);
    await exited(peer);
    peer.process.close();
    await end(connection);
  });

  test('is known by the user and groups with which it connected', async (t) => {
    if (process.getuid?.() !== 0) return t.skip('only root can become another user');
    sockets += 1;
    const path = join(directory, `s${sockets}`);
    const server = createServer({ pauseOnConnect: true });
    server.listen({ path, readableAll: true, writableAll: true });
    await once(server, 'listening');
    const { chmodSync } = await import('node:fs');
    chmodSync(directory, 0o755);
    const code = `process.setgroups([5, 6, 7]); process.setgid(23456); process.setuid(12345);
      require('node:net').connect(${JSON.stringify(path)}); setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['-e', code], { stdio: 'ignore' });
    const [socket] = (await once(server, 'connection')) as [Socket];
    const { _handle: handle } = socket as unknown as { _handle: { fd: number } };
    const peer = peerOf(handle.fd);
    assert.deepEqual([peer.uid, peer.gid, [...peer.groups].sort()], [12345, 23456, [5, 6, 7]]);
    peer.process.close();
    await end({ server, child, socket, fd: handle.fd });
  });

  test('is refused when it ended before it was looked at', async () => {
    const connection = await accepted('', false);
    await once(connection.child, 'exit');
    assert.throws(() => peerOf(connection.fd), {
      code: 'peer_gone',
      message: `process ${connection.child.pid} ended while it was looked at`,
    });
    await end(connection);
  });

  test('is refused when it lives in another pid namespace', async (t) => {
    if (process.getuid?.() !== 0) return t.skip('only root can make a pid namespace');
    sockets += 1;
    const path = join(directory, `s${sockets}`);
    const url = new URL('../../src/host/peer.js', import.meta.url).href;
    const script = `const { peerOf } = await import(${JSON.stringify(url)});
      require = (await import('node:module')).createRequire('/');
      require('node:net').createServer({ pauseOnConnect: true }, (s) => {
        try { peerOf(s._handle.fd); s.end('known'); } catch (error) { s.end(error.code + ': ' + error.message); }
      }).listen(${JSON.stringify(path)}, () => console.log('listening'));`.replace(
      'require = ',
      'const require = ',
    );
    const inside = spawn(
      'unshare',
      ['--pid', '--fork', '--kill-child', process.execPath, '--input-type=module', '-e', script],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    await once(inside.stdout, 'data');
    const { createConnection } = await import('node:net');
    let answer = '';
    for await (const chunk of createConnection(path)) answer += chunk;
    assert.equal(answer, 'peer_other_namespace: the caller lives in a pid namespace that is not ours');
    inside.kill('SIGKILL');
    await once(inside, 'exit');
  });

  test('is refused when the descriptor is no socket', () => {
    const fd = openSync('/dev/null', 'r');
    assert.throws(() => peerOf(fd), {
      code: 'peer_unknown',
      message: "the caller's credentials cannot be read from its socket",
    });
    closeSync(fd);
  });

  test('leaves no descriptor behind over 300 looks', async () => {
    const connection = await accepted();
    const look = () => {
      const peer = peerOf(connection.fd);
      const stop = peer.process.onExit(() => assert.fail('it lives'));
      stop();
      peer.process.close();
      peer.process.close();
    };
    look();
    await new Promise((resolve) => setTimeout(resolve, 20));
    const before = readdirSync('/proc/self/fd').length;
    for (let round = 0; round < 300; round += 1) look();
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.ok(readdirSync('/proc/self/fd').length <= before + 1);
    await end(connection);
  });
});

describe('a held process', () => {
  // Watching keeps no process alive, so the test must.
  const awake = setInterval(() => {}, 1000);
  after(() => clearInterval(awake));

  test('tells each listener once, also one that comes late, and not one that left', async () => {
    const child = spawn('sleep', ['60'], { stdio: 'ignore' });
    assert.ok(child.pid);
    using held = openProcess(child.pid);
    const calls: string[] = [];
    held.onExit(() => calls.push('first'));
    held.onExit(() => calls.push('second'));
    held.onExit(() => calls.push('left'))();
    const told = new Promise<void>((resolve) => held.onExit(resolve));
    child.kill('SIGKILL');
    await told;
    assert.deepEqual(calls, ['first', 'second']);
    await new Promise<void>((resolve) => held.onExit(resolve));
    assert.deepEqual(calls, ['first', 'second']);
  });

  test('does not take threads: 50 watched processes and the pool still works', async () => {
    const children = Array.from({ length: 50 }, () => spawn('sleep', ['60'], { stdio: 'ignore' }));
    const held = children.map((child) => openProcess(child.pid ?? 0));
    const all = held.map((one) => new Promise<void>((resolve) => one.onExit(resolve)));
    const { readdir } = await import('node:fs/promises');
    assert.ok((await readdir('/')).length > 0);
    for (const child of children) child.kill('SIGKILL');
    await Promise.all(all);
    assert.ok(held.every((one) => !one.alive()));
    for (const one of held) one.close();
  });

  test('a number that nobody has is refused', () => {
    assert.throws(() => openProcess(2 ** 22 - 1), {
      code: 'peer_gone',
      message: 'process 4194303 does not exist',
    });
    assert.throws(() => openProcess(-1), { code: 'peer_unknown', message: 'process -1 cannot be held' });
  });

  test('a closed one takes no listeners', () => {
    const held = openProcess(process.pid);
    assert.equal(held.alive(), true);
    held.close();
    assert.throws(() => held.onExit(() => {}), {
      code: 'peer_gone',
      message: `process ${process.pid} is no longer held`,
    });
  });
});
