import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { connect as http2Connect } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { header, mine, reader, serveForTest, workloadClient } from '../agent/workloads/support.js';
import { until } from '../fakes/manual-clock.js';
import { entryOf } from '../support/entries.js';

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);

function opened(t: TestContext, path: string): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = connect(path, () => resolve(socket));
    socket.on('error', () => resolve(socket));
    socket.on('close', () => resolve(socket));
    t.after(() => socket.destroy());
  });
}

async function world(t: TestContext) {
  const served = await serveForTest(t);
  served.store.serve();
  served.store.put(entryOf('a', [mine]));
  const fetch = async () => {
    const stream = reader(workloadClient(served.channel()).fetchX509SVID({}, header));
    const { svids } = await stream.next(5_000);
    await stream.leave();
    return svids.length;
  };
  assert.equal(await fetch(), 1);
  return { ...served, fetch };
}

describe('the public socket goes on serving', () => {
  test('with a thousand idle connections, which are bounded by the limit', async (t) => {
    const { fetch, socketPath } = await world(t);
    const before = readdirSync('/proc/self/fd').length;
    for (let at = 0; at < 1_000; at += 50)
      await Promise.all(Array.from({ length: 50 }, () => opened(t, socketPath)));
    assert.equal(await fetch(), 1);
    await until(
      'the surplus is closed',
      () => readdirSync('/proc/self/fd').length < before + 3 * 256 + 50,
      10_000,
    );
  });

  test('with half-open connections: a part of the preface, a preface, a header that never ends', async (t) => {
    const { fetch, socketPath } = await world(t);
    const beginnings = [
      preface.subarray(0, 5),
      preface,
      Buffer.concat([preface, settings]),
      Buffer.concat([preface, settings, Buffer.from([0, 0, 100, 1, 0, 0, 0, 0, 1, 0x82])]),
      Buffer.concat([preface, settings, Buffer.from([0, 0x40, 0, 1, 0, 0, 0, 0, 1])]),
    ];
    for (const bytes of beginnings) {
      for (let at = 0; at < 20; at++) (await opened(t, socketPath)).write(bytes);
    }
    assert.equal(await fetch(), 1);
  });

  test('with bytes that are no HTTP/2', async (t) => {
    const { fetch, socketPath } = await world(t);
    const noise = [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      randomBytes(64_000),
      Buffer.from([0x16, 3, 1, 0, 5]),
    ];
    for (const bytes of [
      ...noise,
      ...Array.from({ length: 50 }, () => Buffer.concat([preface, randomBytes(500)])),
    ]) {
      const socket = await opened(t, socketPath);
      socket.write(bytes);
    }
    assert.equal(await fetch(), 1);
  });

  test('with gRPC that is broken: wrong lengths, compression, no message, too much', async (t) => {
    const { fetch, socketPath } = await world(t);
    const messages = [
      Buffer.from([0, 0xff, 0xff, 0xff, 0xff]),
      Buffer.from([1, 0, 0, 0, 1, 0]),
      Buffer.from([9, 0, 0, 0, 0]),
      Buffer.from([0, 0, 0]),
      Buffer.concat([
        Buffer.from([0, 0, 0, 0, 9]),
        Buffer.from('\xff\xff\xff\xff\xff\xff\xff\xff\xff', 'latin1'),
      ]),
      Buffer.concat([Buffer.from([0, 0, 3, 0, 0]), Buffer.alloc(0x30000)]),
      Buffer.alloc(0),
    ];
    const statuses: (string | undefined)[] = [];
    for (const bytes of messages)
      statuses.push(await rawCall(t, socketPath, '/SpiffeWorkloadAPI/FetchJWTSVID', bytes));
    assert.ok(
      statuses.every((status) => status !== '0'),
      statuses.join(' '),
    );
    for (const path of ['/', '/nothing', '/SpiffeWorkloadAPI/', '/SpiffeWorkloadAPI/Nothing'])
      assert.notEqual(await rawCall(t, socketPath, path, Buffer.alloc(5)), '0');
    assert.equal(await fetch(), 1);
  });

  test('with calls that are begun and reset, thousands at a time', async (t) => {
    const { fetch, api, store } = await world(t);
    for (let round = 0; round < 20; round++) {
      const streams = Array.from({ length: 100 }, () =>
        api.fetchX509SVID({}, header)[Symbol.asyncIterator](),
      );
      const pending = streams.map((stream) => stream.next().catch(() => {}));
      for (const stream of streams) await stream.return?.();
      await Promise.all(pending);
    }
    assert.equal(await fetch(), 1);
    store.put(entryOf('b', [mine]));
    assert.equal(await fetch(), 2);
  });
});

/** One call with these bytes as its body; its gRPC status, or nothing when the connection ended. */
function rawCall(
  t: TestContext,
  socketPath: string,
  path: string,
  body: Buffer,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const session = http2Connect('http://localhost', { createConnection: () => connect(socketPath) });
    t.after(() => session.destroy());
    session.on('error', () => resolve(undefined));
    const request = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      'workload.spiffe.io': 'true',
    });
    let status: string | undefined;
    const seen = (headers: Record<string, unknown>) => {
      const value = headers['grpc-status'];
      if (value !== undefined) status = String(value);
    };
    request.on('response', seen);
    request.on('trailers', seen);
    request.on('error', () => resolve(status));
    request.on('close', () => resolve(status));
    request.resume();
    request.end(body);
    setTimeout(() => resolve(status), 3_000).unref();
  });
}
