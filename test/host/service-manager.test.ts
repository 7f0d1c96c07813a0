import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { sendDatagram } from '../../native/libc.js';
import { passedSockets } from '../../src/host/listen-fds.js';
import { createNotifier } from '../../src/host/notify.js';

const directory = mkdtempSync(join(tmpdir(), 'tm-notify-'));
after(() => rmSync(directory, { recursive: true, force: true }));

/** A datagram socket in Python, which Node does not have: prints each message and its sender as one line. */
async function manager(address: string, count: number) {
  const script = `
import socket, struct, json, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
a = sys.argv[1]
s.bind('\\0' + a[1:] if a.startswith('@') else a)
print('ready', flush=True)
for _ in range(int(sys.argv[2])):
    m, c, _f, _a = s.recvmsg(4096, socket.CMSG_SPACE(12))
    print(json.dumps([m.decode(), struct.unpack('3i', c[0][2])[0]]), flush=True)`;
  const child = spawn('python3', ['-c', script, address, String(count)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  await once(child.stdout, 'data');
  return async () => {
    if (child.exitCode === null) await once(child, 'exit');
    return output
      .trim()
      .split('\n')
      .slice(1)
      .map((line) => JSON.parse(line) as [string, number]);
  };
}

const havePython = (() => {
  try {
    execFileSync('python3', ['-c', '']);
    return true;
  } catch {
    return false;
  }
})();

describe('notifying the service manager', () => {
  for (const address of [join(directory, 'notify.sock'), `@touchmark-test-${process.pid}`]) {
    test(`arrives at ${address.startsWith('@') ? 'an abstract address' : 'a path'}, from this process`, async (t) => {
      if (!havePython) return t.skip('python3 is not installed');
      const received = await manager(address, 6);
      const environment = {
        NOTIFY_SOCKET: address,
        WATCHDOG_USEC: '3000000',
        WATCHDOG_PID: String(process.pid),
      };
      const notifier = createNotifier(environment, (error) => assert.fail(String(error)));
      assert.deepEqual(environment, {});
      assert.equal(notifier.watchdogMs, 3000);
      notifier.ready();
      notifier.status('cut off since 12:00\nREADY=0');
      notifier.watchdog();
      notifier.reloading();
      notifier.ready();
      notifier.stopping();
      const messages = await received();
      assert.deepEqual(
        messages.map(([message]) => message.replace(/USEC=\d+/, 'USEC=n')),
        [
          'READY=1',
          'STATUS=cut off since 12:00 READY=0',
          'WATCHDOG=1',
          'RELOADING=1\nMONOTONIC_USEC=n',
          'READY=1',
          'STOPPING=1',
        ],
      );
      for (const [, pid] of messages) assert.equal(pid, process.pid);
    });
  }

  test('does nothing without a manager, and for an address of a kind that it does not know', () => {
    for (const environment of [{}, { NOTIFY_SOCKET: 'vsock:2:1' }, { NOTIFY_SOCKET: '@' }]) {
      const notifier = createNotifier(environment, (error) => assert.fail(String(error)));
      notifier.ready();
      notifier.stopping();
      assert.equal(notifier.watchdogMs, undefined);
    }
  });

  test('complains once about a manager that cannot be reached, and stops nothing', () => {
    const errors: unknown[] = [];
    const notifier = createNotifier({ NOTIFY_SOCKET: join(directory, 'nobody') }, (error) =>
      errors.push(error),
    );
    notifier.ready();
    notifier.watchdog();
    assert.equal(errors.length, 1);
    assert.match(String(errors[0]), /^SystemCallError: sendto failed with errno 2$/);
  });

  test('another process’s watchdog is not ours', () => {
    assert.equal(createNotifier({ WATCHDOG_USEC: '1000000', WATCHDOG_PID: '1' }).watchdogMs, undefined);
    assert.equal(createNotifier({ WATCHDOG_USEC: '1000000' }).watchdogMs, 1000);
    assert.equal(createNotifier({ WATCHDOG_USEC: 'soon' }).watchdogMs, undefined);
  });

  test('an address that does not fit is an error of its own', () => {
    assert.throws(() => sendDatagram(`/${'x'.repeat(108)}`, 'READY=1'), {
      name: 'RangeError',
      message: `the socket address /${'x'.repeat(108)} is longer than 107 bytes`,
    });
  });
});

describe('sockets that the service manager passes', () => {
  const pid = String(process.pid);

  test('none without the variables, and none that are another process’s', () => {
    assert.deepEqual(passedSockets({}), []);
    const environment = { LISTEN_PID: '1', LISTEN_FDS: '2', LISTEN_FDNAMES: 'a:b' };
    assert.deepEqual(passedSockets(environment), []);
    assert.deepEqual(environment, {});
  });

  test('numbers and names that do not fit are refused', () => {
    for (const [count, names, message] of [
      ['-1', undefined, 'LISTEN_FDS is "-1", at most 64 is possible'],
      ['many', undefined, 'LISTEN_FDS is "many", at most 64 is possible'],
      ['65', undefined, 'LISTEN_FDS is "65", at most 64 is possible'],
      ['2', 'one', 'LISTEN_FDNAMES has 1 names for 2 sockets'],
    ] as const) {
      const environment: NodeJS.ProcessEnv = { LISTEN_PID: pid, LISTEN_FDS: count };
      if (names !== undefined) environment['LISTEN_FDNAMES'] = names;
      assert.throws(() => passedSockets(environment), { code: 'listen_fds_invalid', message });
    }
  });

  test('a process serves on a socket that it was given, and its children do not get it', async () => {
    const path = join(directory, 'passed.sock');
    const server = createServer().listen(path);
    await once(server, 'listening');
    const { _handle: handle } = server as unknown as { _handle: { fd: number } };
    const url = new URL('../../src/host/listen-fds.js', import.meta.url).href;
    const script = `process.env.LISTEN_PID = String(process.pid);
      const { passedSockets } = await import(${JSON.stringify(url)});
      const sockets = passedSockets();
      const { execFileSync } = await import('node:child_process');
      const inherited = execFileSync('ls', ['-l', '/proc/self/fd'], { encoding: 'utf8' }).split('\\n').some((l) => / 3 ->/.test(l) && /socket/.test(l));
      const net = await import('node:net');
      net.createServer((s) => { s.end(JSON.stringify({ sockets, inherited })); setTimeout(() => process.exit(0), 50); }).listen({ fd: sockets[0].fd });`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'inherit', 'inherit', handle.fd],
      env: { ...process.env, LISTEN_FDS: '1', LISTEN_FDNAMES: 'public' },
    });
    // Closing removes the path at which it was bound, not the socket that the child has by now.
    const moved = `${path}.moved`;
    renameSync(path, moved);
    server.close();
    const { createConnection } = await import('node:net');
    let answer = '';
    const client = createConnection(moved);
    client.on('error', () => {});
    for await (const chunk of client) answer += chunk;
    assert.deepEqual(JSON.parse(answer), { sockets: [{ fd: 3, name: 'public' }], inherited: false });
    if (child.exitCode === null) await once(child, 'exit');
  });
});
