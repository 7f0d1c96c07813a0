import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '../../src/clock.js';
import { silentLogger } from '../../src/log.js';
import { unixChannel } from '../../src/rpc/channel.js';
import { createRpcClient } from '../../src/rpc/client.js';
import { runServer } from '../../src/server/main.js';
import { Health } from '../../src/wire/gen/grpc/health_pb.js';
import { testConfig } from '../fakes/test-server.js';
import { havePython, notifySocket } from '../support/notify-socket.js';

const WATCHDOG_MS = 200;

test('the service manager is told that the server is ready, alive, and stopping, in this order', async (t) => {
  if (!havePython && process.env['CI'] !== 'true') return t.skip('python3 is not installed');
  const directory = await mkdtemp(join(tmpdir(), 'tm-notify-'));
  const manager = await notifySocket(join(directory, 'notify.sock'));
  t.after(async () => {
    manager.close();
    await rm(directory, { recursive: true, force: true });
  });
  const config = { ...testConfig(directory), dataDir: join(directory, 'data') };
  await mkdir(config.dataDir);
  process.env['NOTIFY_SOCKET'] = join(directory, 'notify.sock');
  process.env['WATCHDOG_USEC'] = String(WATCHDOG_MS * 1000);
  const stop = new AbortController();
  const running = runServer(config, { log: silentLogger(), clock: systemClock, signal: stop.signal });
  assert.equal(process.env['NOTIFY_SOCKET'], undefined);

  const next = async () => (await manager.messages.next()).value;
  assert.match(
    await next(),
    new RegExp(`^STATUS=serving example\\.org on 127\\.0\\.0\\.1:\\d+ and ${config.socketPath}$`),
  );
  assert.equal(await next(), 'READY=1');
  const channel = unixChannel(config.socketPath);
  assert.equal((await createRpcClient(Health, channel).check({})).status, 1);
  channel.close();
  assert.equal(await next(), 'WATCHDOG=1');
  const fed = Date.now();
  for (let times = 0; times < 3; times += 1) assert.equal(await next(), 'WATCHDOG=1');
  const apart = (Date.now() - fed) / 3;
  assert.ok(apart < WATCHDOG_MS, `${apart} ms apart`);
  stop.abort();
  await running;
  let last = await next();
  while (last === 'WATCHDOG=1') last = await next();
  assert.equal(last, 'STOPPING=1');
});
