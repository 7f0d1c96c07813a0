import assert from 'node:assert/strict';
import { syncBuiltinESMExports } from 'node:module';
import { test } from 'node:test';
import tls, { type Server } from 'node:tls';
import { systemClock } from '../../src/clock.js';
import { silentLogger } from '../../src/log.js';
import { createRpcServer } from '../../src/rpc/server.js';
import { listenTls, type TlsPeer } from '../../src/rpc/tls-listener.js';
import { authority, identity } from './tls-support.js';

test('connections that cannot be accepted, again and again, are logged and end nothing', async (t) => {
  const { createServer } = tls;
  let made: Server | undefined;
  t.mock.method(tls, 'createServer', (...args: Parameters<typeof createServer>) => {
    made = createServer(...args);
    return made;
  });
  syncBuiltinESMExports();
  t.after(() => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
  const logged: string[] = [];
  const log = { ...silentLogger(), error: (message: string) => void logged.push(message) };
  const listener = await listenTls<TlsPeer>({
    server: createRpcServer<TlsPeer>({ clock: systemClock, log }),
    log,
    host: '127.0.0.1',
    port: 0,
    identity: identity(authority('Smithy'), '/spire/server'),
    identify: (peer) => peer,
    keyOf: (peer) => peer.address,
  });
  const outOfDescriptors = Object.assign(new Error('accept EMFILE'), { code: 'EMFILE' });
  for (let times = 0; times < 3; times += 1) made?.emit('error', outOfDescriptors);
  assert.deepEqual(logged, Array(3).fill('a TLS listener failed'));
  await listener.close();
});
