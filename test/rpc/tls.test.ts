import assert from 'node:assert/strict';
import { connect as netConnect } from 'node:net';
import { test } from 'node:test';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { create } from '@bufbuild/protobuf';
import { TouchmarkError } from '../../src/errors.js';
import { createRpcClient } from '../../src/rpc/client.js';
import { isRpcError } from '../../src/rpc/rpc-error.js';
import type { RpcServer } from '../../src/rpc/server.js';
import type { TlsPeer } from '../../src/rpc/tls-listener.js';
import { Agent, AttestAgentResponseSchema } from '../../src/wire/gen/spire/server/agent_pb.js';
import { CountEntriesResponseSchema, Entry } from '../../src/wire/gen/spire/server/entry_pb.js';
import { until } from '../fakes/manual-clock.js';
import { failureOf } from './support.js';
import { authority, identity, serveTls } from './tls-support.js';

const ca = authority('first');
const counting = (server: RpcServer<TlsPeer>) => {
  server.add(Entry, {
    countEntries: async (_request, call) =>
      create(CountEntriesResponseSchema, { count: call.caller.chain.length }),
  });
  server.add(Agent, {
    async *attestAgent(requests, call) {
      for await (const _ of requests) {
        yield create(AttestAgentResponseSchema, {
          step: { case: 'challenge', value: call.caller.serverLeaf },
        });
      }
    },
  });
};

/** A bare TLS connection, to see what the handshake itself says. */
function handshake(port: number, options: ConnectionOptions): Promise<TLSSocket | Error> {
  return new Promise((resolve) => {
    const socket = connect({
      host: '127.0.0.1',
      port,
      rejectUnauthorized: false,
      ALPNProtocols: ['h2'],
      ...options,
    });
    socket.once('secureConnect', () => resolve(socket));
    socket.once('error', resolve);
  });
}

test('a client without a certificate is served as such, one with a certificate shows its whole chain', async (t) => {
  const served = await serveTls(t, identity(ca, '/spire/server'), counting);
  const anonymous = createRpcClient(Entry, served.channel());
  assert.equal((await anonymous.countEntries({})).count, 0);
  const agent = identity(ca, '/spire/agent/x');
  const known = createRpcClient(Entry, served.channel({ identity: () => agent }));
  assert.equal((await known.countEntries({})).count, 2);
  assert.deepEqual(served.peers[1]?.chain, [agent.leaf, new Uint8Array(ca.certificate)]);
  assert.equal(served.peers[1]?.address, '127.0.0.1');
});

test('a certificate of an unknown authority reaches the hook, which decides', async (t) => {
  const rogue = identity(authority('rogue'), '/spire/agent/x');
  const served = await serveTls(t, identity(ca, '/spire/server'), counting, {
    identify: (peer) => {
      if (peer.chain.length > 0) throw new TouchmarkError('chain_untrusted', 'not one of ours');
      return peer;
    },
  });
  const error = await failureOf(
    createRpcClient(Entry, served.channel({ identity: () => rogue })).countEntries({}),
  );
  assert.ok(isRpcError(error, 'UNAVAILABLE'), String(error));
  assert.equal((await createRpcClient(Entry, served.channel()).countEntries({})).count, 0);
});

test('the client sends nothing to a server that its check refuses', async (t) => {
  const shown = identity(ca, '/spire/server');
  const served = await serveTls(t, shown, counting);
  const seen: (readonly Uint8Array[])[] = [];
  const channel = served.channel({
    verify: async (chain) => {
      seen.push(chain);
      throw new TouchmarkError('server_untrusted', 'this is not spiffe://example.org/spire/server');
    },
  });
  const error = await failureOf(createRpcClient(Entry, channel).countEntries({}));
  assert.ok(isRpcError(error, 'UNAVAILABLE'));
  assert.match(error.message, /this is not spiffe:\/\/example\.org\/spire\/server/);
  assert.deepEqual(seen[0], [shown.leaf, new Uint8Array(ca.certificate)]);
  await until('the connection is gone', () => served.server.connectionCount === 0);
});

test('both ends agree on the server leaf of one connection, before and after a rotation', async (t) => {
  const first = identity(ca, '/spire/server');
  const second = identity(authority('second'), '/spire/server');
  const served = await serveTls(t, first, counting);
  const attest = async () => {
    const channel = served.channel();
    const stream = createRpcClient(Agent, channel).attestAgent();
    const answers = stream.responses[Symbol.asyncIterator]();
    const ask = async () => {
      await stream.send({});
      const { value } = await answers.next();
      return value?.step.case === 'challenge' ? value.step.value : undefined;
    };
    return { ask, leaf: () => stream.serverLeaf() };
  };
  const before = await attest();
  assert.deepEqual(await before.ask(), first.leaf);
  assert.deepEqual(before.leaf(), first.leaf);
  served.listener.rotate(second);
  const after = await attest();
  assert.deepEqual(await after.ask(), second.leaf);
  assert.deepEqual(after.leaf(), second.leaf);
  assert.deepEqual(await before.ask(), first.leaf, 'the old connection keeps what it was shown');
  assert.deepEqual(before.leaf(), first.leaf);
});

test('a rotation between connect and handshake is told apart as well', async (t) => {
  const first = identity(ca, '/spire/server');
  const second = identity(ca, '/spire/server');
  const served = await serveTls(t, first, counting);
  const raw = netConnect(served.listener.port, '127.0.0.1');
  await new Promise((resolve) => raw.once('connect', resolve));
  await new Promise((resolve) => setTimeout(resolve, 50));
  served.listener.rotate(second);
  const socket = await handshake(served.listener.port, { socket: raw });
  assert.ok(!(socket instanceof Error));
  await until('it was identified', () => served.peers.length === 1);
  assert.deepEqual(served.peers[0]?.serverLeaf, new Uint8Array(socket.getPeerX509Certificate()?.raw ?? []));
  socket.destroy();
});

test('the client asks for its certificate at each connection', async (t) => {
  const served = await serveTls(t, identity(ca, '/spire/server'), counting);
  const own = [identity(ca, '/spire/agent/1'), identity(ca, '/spire/agent/2')];
  const channel = served.channel({ identity: () => own[served.peers.length] });
  const client = createRpcClient(Entry, channel);
  await client.countEntries({});
  assert.deepEqual(served.peers[0]?.chain[0], own[0]?.leaf);
  const next = createRpcClient(Entry, served.channel({ identity: () => own[1] }));
  await next.countEntries({});
  assert.deepEqual(served.peers[1]?.chain[0], own[1]?.leaf);
});

test('TLS 1.1 and clients that do not speak h2 are refused', async (t) => {
  const served = await serveTls(t, identity(ca, '/spire/server'), counting);
  const { port } = served.listener;
  const old = await handshake(port, {
    minVersion: 'TLSv1',
    maxVersion: 'TLSv1.1',
    ciphers: 'DEFAULT@SECLEVEL=0',
  });
  assert.ok(old instanceof Error, 'the handshake failed');
  const http1 = await handshake(port, { ALPNProtocols: ['http/1.1'] });
  if (!(http1 instanceof Error)) await new Promise((resolve) => http1.once('close', resolve).resume());
  assert.equal(served.peers.length, 0);
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const socket = await handshake(port, { minVersion: version, maxVersion: version });
    assert.ok(!(socket instanceof Error) && socket.getProtocol() === version);
    socket.destroy();
  }
});

test('no session is resumed, so that each connection shows its certificate', async (t) => {
  const served = await serveTls(t, identity(ca, '/spire/server'), counting);
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const limits = { minVersion: version, maxVersion: version };
    const first = await handshake(served.listener.port, limits);
    assert.ok(!(first instanceof Error));
    const tickets: Buffer[] = [];
    first.on('session', (ticket) => tickets.push(ticket));
    await new Promise((resolve) => setTimeout(resolve, 50));
    const session = tickets[0] ?? first.getSession();
    first.destroy();
    const second = await handshake(served.listener.port, { ...limits, ...(session ? { session } : {}) });
    assert.ok(!(second instanceof Error));
    assert.equal(second.isSessionReused(), false, version);
    second.destroy();
  }
});

test('handshakes that do not come to an end are bounded in time and number', async (t) => {
  const served = await serveTls(t, identity(ca, '/spire/server'), counting, {
    handshakeTimeoutMs: 200,
    maxHandshakesPerAddress: 5,
  });
  const closed = await Promise.all(
    Array.from(
      { length: 20 },
      () =>
        new Promise<number>((resolve) => {
          const started = Date.now();
          const socket = netConnect(served.listener.port, '127.0.0.1');
          socket.on('error', () => {});
          socket.once('close', () => resolve(Date.now() - started)).resume();
        }),
    ),
  );
  assert.equal(closed.filter((ms) => ms >= 150).length, 5, closed.join());
  assert.equal((await createRpcClient(Entry, served.channel()).countEntries({})).count, 0);
});

test('garbage after the handshake and 1 000 idle connections leave it serving', async (t) => {
  const served = await serveTls(t, identity(ca, '/spire/server'), counting, {
    maxHandshakesPerAddress: 1000,
  });
  const garbage = await handshake(served.listener.port, {});
  assert.ok(!(garbage instanceof Error));
  garbage.on('error', () => {});
  garbage.end(Buffer.alloc(2000, 0x55));
  for (let n = 0; n < 1000; n += 20) {
    const batch = await Promise.all(Array.from({ length: 20 }, () => handshake(served.listener.port, {})));
    for (const socket of batch) if (!(socket instanceof Error)) t.after(() => socket.destroy());
    for (const socket of batch) socket instanceof Error || socket.on('error', () => {});
  }
  assert.ok(served.server.connectionCount <= 256);
  assert.equal((await createRpcClient(Entry, served.channel()).countEntries({})).count, 0);
});

test('an address that is taken is refused with a sentence', async (t) => {
  const served = await serveTls(t, identity(ca, '/spire/server'), counting);
  const { port } = served.listener;
  const error = await failureOf(serveTls(t, identity(ca, '/spire/server'), counting, { port }));
  assert.ok(error instanceof TouchmarkError && error.code === 'server_socket_failed');
  assert.match(error.message, new RegExp(`^cannot listen on 127\\.0\\.0\\.1:${port}: .*EADDRINUSE`));
});

test('a listener is closed at once: nobody connects any more, half a handshake is dropped, and who is served is served', async (t) => {
  const served = await serveTls(t, identity(ca, '/spire/server'), counting);
  const client = createRpcClient(Entry, served.channel());
  assert.equal((await client.countEntries({})).count, 0);
  const silent = netConnect(served.listener.port, '127.0.0.1');
  await new Promise((resolve) => silent.once('connect', resolve));
  // The server's side of it exists once a later connection has been answered.
  assert.ok(!((await handshake(served.listener.port, {})) instanceof Error));
  const dropped = new Promise((resolve) => silent.once('close', resolve).resume());
  const started = Date.now();
  await served.listener.close();
  await dropped;
  assert.ok(Date.now() - started < 1000);
  const late = await handshake(served.listener.port, {});
  assert.ok(late instanceof Error);
  assert.equal((late as NodeJS.ErrnoException).code, 'ECONNREFUSED');
  assert.equal((await client.countEntries({})).count, 0);
});
