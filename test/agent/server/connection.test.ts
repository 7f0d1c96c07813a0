import assert from 'node:assert/strict';
import test from 'node:test';
import type { NodeSvid } from '../../../src/agent/server/api.js';
import type { ServerChannel } from '../../../src/agent/server/channel.js';
import { createServerConnection } from '../../../src/agent/server/connection.js';
import { parseSpiffeId } from '../../../src/spiffe/id.js';
import { generateKey } from '../../../src/x509/keys.js';
import { manualClock } from '../../fakes/manual-clock.js';
import { memoryServer } from '../../fakes/memory-server.js';
import { throwsCode } from '../../support/rejects.js';

const svid: NodeSvid = {
  id: parseSpiffeId('spiffe://example.org/spire/agent/tpm/ab'),
  chain: [],
  key: await generateKey('ec-p256'),
  notBefore: 0,
  expiresAt: 0,
  reattestable: true,
};

function begin() {
  const clock = manualClock();
  const server = memoryServer(clock);
  const closed: ServerChannel[] = [];
  const connection = createServerConnection((shown) => {
    assert.equal(shown, svid);
    const channel = server.dial(shown);
    return Object.assign(channel, { [Symbol.dispose]: () => void closed.push(channel) });
  }, clock);
  return { clock, connection, closed };
}

test('before a channel is adopted there is none for calls', () => {
  const { connection } = begin();
  throwsCode('server_away', /^there is no connection to the server$/, () => connection.api());
  const channel = connection.open(svid);
  throwsCode('server_away', /^there is no connection to the server$/, () => connection.api());
  connection.adopt(channel);
  assert.equal(connection.api(), channel.api);
});

test('the channel before is closed when its calls had time to end, and only then', () => {
  const { clock, connection, closed } = begin();
  const [first, second] = [connection.open(svid), connection.open(svid)];
  connection.adopt(first);
  connection.adopt(second);
  connection.adopt(second);
  assert.equal(connection.api(), second.api);
  clock.advance(34_999);
  assert.deepEqual(closed, []);
  clock.advance(1);
  assert.deepEqual(closed, [first]);
  assert.equal(connection.api(), second.api);
});

test('a channel that fails is closed once, and calls find none', () => {
  const { clock, connection, closed } = begin();
  const channel = connection.open(svid);
  connection.adopt(channel);
  connection.drop(channel);
  connection.drop(channel);
  assert.equal(closed.length, 1);
  throwsCode('server_away', /no connection/, () => connection.api());
  clock.advance(100_000);
  assert.equal(closed.length, 1);
});

test('one that fails while it waits for its end is closed at once, and its timer goes with it', () => {
  const { clock, connection, closed } = begin();
  const [first, second] = [connection.open(svid), connection.open(svid)];
  connection.adopt(first);
  connection.adopt(second);
  connection.drop(first);
  assert.deepEqual([closed.length, clock.timers], [1, 0]);
});

test('at the end everything is closed and no timer is left', () => {
  const { clock, connection, closed } = begin();
  const [first, second] = [connection.open(svid), connection.open(svid), connection.open(svid)];
  connection.adopt(first);
  connection.adopt(second);
  connection[Symbol.dispose]();
  assert.deepEqual([closed.length, clock.timers], [3, 0]);
  throwsCode('server_away', /no connection/, () => connection.api());
});
