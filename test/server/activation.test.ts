import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { link, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { unixChannel } from '../../src/rpc/channel.js';
import { createRpcClient } from '../../src/rpc/client.js';
import { Entry } from '../../src/wire/gen/spire/server/entry_pb.js';

/** What the service manager would start: it serves on descriptor 3 until it is told to stop. */
function program(directory: string): string {
  const at = (path: string) => JSON.stringify(pathToFileURL(join(import.meta.dirname, path)).href);
  return `
    import { runServer } from ${at('../../src/server/main.js')};
    import { testConfig } from ${at('../fakes/test-server.js')};
    import { systemClock } from ${at('../../src/clock.js')};
    import { silentLogger } from ${at('../../src/log.js')};
    const stop = new AbortController();
    process.once('SIGTERM', () => stop.abort());
    const config = { ...testConfig(${JSON.stringify(directory)}), socketPath: '/nonexistent/api.sock' };
    await runServer(config, { log: silentLogger(), clock: systemClock, signal: stop.signal });
  `;
}

test('a client that connects before the server is up is served on the socket that was passed, and SIGTERM ends it', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'tm-activation-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const path = join(directory, 'api.sock');
  const listener = createServer();
  listener.listen(path);
  await once(listener, 'listening');
  const { fd } = (listener as unknown as { _handle: { fd: number } })._handle;
  // The number of the process must stand in its own environment, as sd_listen_fds(3) wants it.
  const command = 'LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=operators exec "$0" --input-type=module -e "$1"';
  const child = spawn('sh', ['-c', command, process.execPath, program(directory)], {
    stdio: ['ignore', 'inherit', 'inherit', fd],
  });
  const ended = once(child, 'exit');
  // Closing would unlink the path, and staying open would accept in the server's place: a second name outlives it.
  const kept = join(directory, 'kept.sock');
  await link(path, kept);
  listener.close();
  t.after(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const channel = unixChannel(kept);
  const { count } = await createRpcClient(Entry, channel).countEntries(
    {},
    { waitForReady: true, deadline: Date.now() + 10_000 },
  );
  assert.equal(count, 0);
  channel.close();
  child.kill('SIGTERM');
  assert.deepEqual(await ended, [0, null]);
});
