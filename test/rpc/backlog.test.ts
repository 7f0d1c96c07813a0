import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { PassThrough } from 'node:stream';
import { describe, type TestContext, test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { createBacklog } from '../../src/rpc/backlog.js';
import { createRpcClient } from '../../src/rpc/client.js';
import type { Connection } from '../../src/rpc/connections.js';
import { Agent, AttestAgentResponseSchema } from '../../src/wire/gen/spire/server/agent_pb.js';
import { until } from '../fakes/manual-clock.js';
import { serve } from './support.js';

const MIB = 1024 * 1024;

interface Fake {
  readonly connection: Connection<string>;
  destroyed: boolean;
}

function fake(name: string): Fake {
  const made: Fake = {
    destroyed: false,
    connection: {
      ...{ token: name, caller: name, key: name, calls: 0, idleSince: 0 },
      socket: {
        destroy() {
          made.destroyed = true;
        },
      } as unknown as Connection<string>['socket'],
    },
  };
  return made;
}

function framed(body: Uint8Array): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt32BE(body.length, 1);
  return Buffer.concat([header, body]);
}

/** The beginning of a message of 4 MiB. */
const begun = (bytes: number) => framed(Buffer.alloc(4 * MIB)).subarray(0, 5 + bytes);

describe('messages that are not whole', () => {
  test('count for as long as they are not, however they are cut into pieces', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 97 }), { minLength: 1, maxLength: 50 }),
        (sizes, cuts) => {
          const backlog = createBacklog<string>({ total: 1e6, perConnection: 1e6, message: 4 * MIB });
          const stream = new PassThrough();
          backlog.watch(stream, fake('a').connection);
          const bytes = Buffer.concat(sizes.map((size) => framed(Buffer.alloc(size, 7))));
          let at = 0;
          for (let cut = 0; at < bytes.length; cut += 1) {
            const end = Math.min(bytes.length, at + (cuts[cut % cuts.length] ?? 1));
            stream.emit('data', bytes.subarray(at, end));
            at = end;
            assert.equal(backlog.held, unfinished(sizes, at));
          }
          assert.equal(backlog.held, 0);
        },
      ),
    );
  });

  test('beyond the limit of a connection cost that connection', () => {
    const backlog = createBacklog<string>({ total: 1000, perConnection: 100, message: 4 * MIB });
    const [a, b] = [fake('a'), fake('b')];
    for (const { connection } of [a, a, b]) {
      const stream = new PassThrough();
      backlog.watch(stream, connection);
      stream.emit('data', begun(51));
    }
    assert.deepEqual([a.destroyed, b.destroyed], [true, false]);
  });

  test('beyond the limit of all cost the connection that holds most, and not the one that came last', () => {
    const backlog = createBacklog<string>({ total: 100, perConnection: 90, message: 4 * MIB });
    const all = [fake('a'), fake('b'), fake('c')];
    for (const [at, { connection }] of all.entries()) {
      const stream = new PassThrough();
      backlog.watch(stream, connection);
      stream.emit('data', begun([20, 60, 30][at] ?? 0));
    }
    assert.deepEqual(
      all.map(({ destroyed }) => destroyed),
      [false, true, false],
    );
  });

  test('that are refused by their header are held by nobody', () => {
    const backlog = createBacklog<string>({ total: 100, perConnection: 100, message: 50 });
    const stream = new PassThrough();
    backlog.watch(stream, fake('a').connection);
    stream.emit('data', framed(Buffer.alloc(51)).subarray(0, 30));
    assert.equal(backlog.held, 0);
  });

  test('are forgotten with their call', async () => {
    const backlog = createBacklog<string>({ total: 100, perConnection: 100, message: 4 * MIB });
    const { connection } = fake('a');
    for (let times = 0; times < 3; times += 1) {
      const stream = new PassThrough();
      backlog.watch(stream, connection);
      stream.emit('data', begun(80));
      assert.equal(backlog.held, 80);
      stream.destroy();
      await once(stream, 'close');
      assert.equal(backlog.held, 0);
    }
  });
});

/** How much of the last message has arrived when `seen` bytes have, and it is not whole. */
function unfinished(sizes: readonly number[], seen: number): number {
  let left = seen;
  for (const size of sizes) {
    if (left < 5 + size) return Math.max(0, left - 5);
    left -= 5 + size;
  }
  return 0;
}

/** Begins calls on one connection, and with each a message of which so many bytes are sent. */
function begin(t: TestContext, path: string, calls: number, bytes: number): ClientHttp2Session {
  const session = connectHttp2('http://localhost', { createConnection: () => connect(path) });
  session.on('error', () => {});
  t.after(() => session.destroy());
  for (let call = 0; call < calls; call += 1) {
    const headers = { ':method': 'POST', ':path': '/spire.api.server.agent.v1.Agent/AttestAgent' };
    const stream = session.request({ ...headers, 'content-type': 'application/grpc', te: 'trailers' });
    stream.on('error', () => {});
    stream.write(begun(bytes));
  }
  return session;
}

test('a server whose requests are small holds little of those that are not whole', async (t) => {
  const served = await serve(
    t,
    (server) =>
      server.add(Agent, {
        async *attestAgent(requests) {
          for await (const _ of requests) yield create(AttestAgentResponseSchema);
        },
      }),
    { maxRequestBytes: 64 * 1024 },
  );
  const modest = begin(t, served.path, 3, MIB);
  const greedy = begin(t, served.path, 5, MIB);
  await until('the greedy connection is closed', () => greedy.destroyed);
  assert.equal(modest.destroyed, false);
  assert.equal(served.server.connectionCount, 1);
});

test('a stranger who begins many large messages loses the connection, and nobody else notices', async (t) => {
  const served = await serve(
    t,
    (server) =>
      server.add(Agent, {
        async *attestAgent(requests) {
          for await (const { step } of requests) {
            const length = step.case === 'challengeResponse' ? step.value.length : 0;
            yield create(AttestAgentResponseSchema, {
              step: { case: 'challenge', value: Buffer.from(`${length}`) },
            });
          }
        },
      }),
    { backlog: { total: 16 * MIB, perConnection: 8 * MIB } },
    (count) => `caller ${count}`,
  );
  const client = createRpcClient(Agent, served.channel());
  const honest = client.attestAgent();
  const answers = honest.responses[Symbol.asyncIterator]();
  const ask = async () => {
    await honest.send({ step: { case: 'challengeResponse', value: new Uint8Array(900_000) } });
    const { step } = (await answers.next()).value ?? { step: undefined };
    return step?.case === 'challenge' ? Buffer.from(step.value).toString() : undefined;
  };
  // Many whole messages on one stream, together beyond every limit.
  for (let times = 0; times < 20; times += 1) assert.equal(await ask(), '900000');

  const hostile = begin(t, served.path, 16, 4 * MIB - 1);
  await until('the hostile connection is closed', () => hostile.destroyed);
  assert.equal(await ask(), '900000');
  assert.equal(served.server.connectionCount, 1);
  honest.cancel();
});
