import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { TouchmarkError } from '../../src/errors.js';
import type { Call, Outcome } from '../../src/rpc/call.js';
import { createRpcClient } from '../../src/rpc/client.js';
import { isRpcError } from '../../src/rpc/rpc-error.js';
import {
  DelegatedIdentity,
  type SubscribeToX509BundlesResponse,
  SubscribeToX509BundlesResponseSchema,
} from '../../src/wire/gen/spire/agent/delegatedidentity_pb.js';
import {
  CountEntriesResponseSchema,
  Entry,
  SyncAuthorizedEntriesResponseSchema,
} from '../../src/wire/gen/spire/server/entry_pb.js';
import { until } from '../fakes/manual-clock.js';
import { type Caller, collect, failureOf, serve, sleep } from './support.js';

const bundle = (size: number) =>
  create(SubscribeToX509BundlesResponseSchema, { caCertificates: { a: new Uint8Array(size) } });

function endless(size: number, made: { count: number; ended: boolean }) {
  return async function* (
    _request: unknown,
    call: Call<Caller>,
  ): AsyncGenerator<SubscribeToX509BundlesResponse> {
    try {
      while (!call.signal.aborted) {
        made.count += 1;
        yield bundle(size);
      }
    } finally {
      made.ended = true;
    }
  };
}

/** Yields once, then waits for the end of the call as a subscription does. */
async function* subscription(_request: unknown, call: Call<Caller>) {
  yield bundle(1);
  await new Promise((resolve) => call.signal.addEventListener('abort', resolve, { once: true }));
}

test('a server stream ends with OK when its handler returns, and with the error that it throws', async (t) => {
  const served = await serve(t, (server) =>
    server.add(DelegatedIdentity, {
      async *subscribeToX509Bundles() {
        for (const size of [1, 2, 3]) yield bundle(size);
      },
      async *subscribeToJWTBundles() {
        yield* [];
        throw new TouchmarkError('node_refused', 'not any more');
      },
    }),
  );
  const client = createRpcClient(DelegatedIdentity, served.channel());
  const sizes = (await collect(client.subscribeToX509Bundles({}))).map((m) => m.caCertificates['a']?.length);
  assert.deepEqual(sizes, [1, 2, 3]);
  const error = await failureOf(collect(client.subscribeToJWTBundles({})));
  assert.ok(isRpcError(error, 'PERMISSION_DENIED'));
  assert.equal(error.message, 'not any more');
});

test('a bidirectional stream answers message by message and goes on writing after the reader of requests stops', async (t) => {
  const served = await serve(t, (server) =>
    server.add(Entry, {
      async *syncAuthorizedEntries(requests) {
        for await (const request of requests) {
          yield create(SyncAuthorizedEntriesResponseSchema, { entries: request.ids.map((id) => ({ id })) });
          if (request.ids.length === 0) break;
        }
        yield create(SyncAuthorizedEntriesResponseSchema, { more: true });
      },
    }),
  );
  const stream = createRpcClient(Entry, served.channel()).syncAuthorizedEntries();
  const answers = stream.responses[Symbol.asyncIterator]();
  await stream.send({ ids: ['a'] });
  assert.equal((await answers.next()).value?.entries[0]?.id, 'a');
  await stream.send({ ids: [] });
  assert.equal((await answers.next()).value?.entries.length, 0);
  assert.equal((await answers.next()).value?.more, true);
  assert.equal((await answers.next()).done, true);
  const late = await failureOf(stream.send({ ids: ['b'] }));
  assert.ok(isRpcError(late), String(late));
});

test('a slow reader holds the handler back instead of filling memory', async (t) => {
  const made = { count: 0, ended: false };
  const served = await serve(t, (server) =>
    server.add(DelegatedIdentity, { subscribeToX509Bundles: endless(64 * 1024, made) }),
  );
  const stream = createRpcClient(DelegatedIdentity, served.channel()).subscribeToX509Bundles({});
  const reader = stream[Symbol.asyncIterator]();
  await reader.next();
  await sleep(200);
  const early = made.count;
  assert.ok(early < 60, `${early} messages of 64 KiB were made for a reader that took one`);
  for (let n = 0; n < 100; n += 1) await reader.next();
  assert.ok(made.count >= 100, 'and it goes on as the reader does');
  await reader.return?.();
  await until('the handler has ended', () => made.ended);
});

test('a stuck reader loses its stream after the write time-out, and only that', async (t) => {
  const made = { count: 0, ended: false };
  const outcomes: Outcome[] = [];
  const served = await serve(
    t,
    (server) => {
      server.add(DelegatedIdentity, { subscribeToX509Bundles: endless(256 * 1024, made) });
      server.add(Entry, { countEntries: async () => create(CountEntriesResponseSchema, { count: 1 }) });
    },
    { writeTimeoutMs: 150, interceptors: [{ after: (_call, outcome) => void outcomes.push(outcome) }] },
  );
  const channel = served.channel();
  const reader = createRpcClient(DelegatedIdentity, channel)
    .subscribeToX509Bundles({})
    [Symbol.asyncIterator]();
  await reader.next();
  await until('the handler has ended', () => made.ended);
  const end = outcomes.find((outcome) => outcome.error !== undefined);
  assert.ok(end?.error instanceof TouchmarkError && end.error.code === 'reader_stuck');
  assert.equal(end.error.message, 'the client took no message of SubscribeToX509Bundles for 150 ms');
  const error = await failureOf(
    (async () => {
      while (!(await reader.next()).done);
    })(),
  );
  assert.ok(isRpcError(error, 'CANCELLED'), String(error));
  assert.equal(served.server.connectionCount, 1, 'the connection lives on: only the stream was reset');
  assert.equal((await createRpcClient(Entry, channel).countEntries({})).count, 1);
});

test('cancelling a call fires its signal, and the outcome says so', async (t) => {
  const outcomes: Outcome[] = [];
  let reason: unknown;
  const served = await serve(
    t,
    (server) =>
      server.add(Entry, {
        countEntries: (_request, call) =>
          new Promise((_, reject) =>
            call.signal.addEventListener('abort', () => {
              reason = call.signal.reason;
              reject(reason);
            }),
          ),
      }),
    { interceptors: [{ after: (_call, outcome) => void outcomes.push(outcome) }] },
  );
  const abort = new AbortController();
  const call = failureOf(createRpcClient(Entry, served.channel()).countEntries({}, { signal: abort.signal }));
  setTimeout(() => abort.abort(), 50);
  assert.ok(isRpcError(await call, 'CANCELLED'));
  await until('the outcome is known', () => outcomes.length === 1);
  assert.ok(reason instanceof TouchmarkError && reason.code === 'call_cancelled');
  assert.equal(reason.message, 'CountEntries was cancelled');
  assert.equal(outcomes[0]?.code, 1);
});

test('a deadline ends unary calls and streams with DEADLINE_EXCEEDED', async (t) => {
  let deadline: number | undefined;
  let reason: unknown;
  const served = await serve(t, (server) =>
    server.add(DelegatedIdentity, {
      async *subscribeToX509Bundles(_request, call) {
        deadline = call.deadline;
        yield* subscription(_request, call);
        reason = call.signal.reason;
      },
    }),
  );
  const until100 = Date.now() + 100;
  const client = createRpcClient(DelegatedIdentity, served.channel());
  const error = await failureOf(collect(client.subscribeToX509Bundles({}, { deadline: until100 })));
  assert.ok(isRpcError(error, 'DEADLINE_EXCEEDED'), String(error));
  assert.ok(deadline !== undefined && Math.abs(deadline - until100) < 100);
  await until('the handler saw it', () => reason !== undefined);
  assert.ok(reason instanceof TouchmarkError && ['call_deadline', 'call_cancelled'].includes(reason.code));
});

test('a closed connection ends its streams', async (t) => {
  let ended = false;
  const closed: Caller[] = [];
  const served = await serve(
    t,
    (server) =>
      server.add(DelegatedIdentity, {
        async *subscribeToX509Bundles(request, call) {
          yield* subscription(request, call);
          ended = true;
        },
      }),
    { onClose: (caller) => void closed.push(caller) },
  );
  const channel = served.channel();
  const reader = createRpcClient(DelegatedIdentity, channel)
    .subscribeToX509Bundles({})
    [Symbol.asyncIterator]();
  await reader.next();
  assert.equal(served.server.connectionCount, 1);
  reader.next().catch(() => {});
  await reader.return?.();
  channel.close();
  await until('handler and connection are gone', () => ended && served.server.connectionCount === 0);
  assert.equal(closed.length, 1);
});

test('a stopping server ends streams with Unavailable, never with OK', async (t) => {
  const served = await serve(t, (server) =>
    server.add(DelegatedIdentity, { subscribeToX509Bundles: subscription }),
  );
  const client = createRpcClient(DelegatedIdentity, served.channel());
  const reader = client.subscribeToX509Bundles({})[Symbol.asyncIterator]();
  await reader.next();
  const next = failureOf(reader.next());
  const started = Date.now();
  await served.server.close(1000);
  const error = await next;
  assert.ok(isRpcError(error, 'UNAVAILABLE'), String(error));
  assert.equal(error.message, 'the server is stopping');
  assert.ok(Date.now() - started < 900, 'nothing was left to wait for');
});

test('a handler that ignores its signal does not hold its call', async (t) => {
  const outcomes: Outcome[] = [];
  const served = await serve(
    t,
    (server) =>
      server.add(DelegatedIdentity, {
        async *subscribeToX509Bundles() {
          yield bundle(1);
          await new Promise(() => {});
        },
      }),
    { interceptors: [{ after: (_call, outcome) => void outcomes.push(outcome) }] },
  );
  const stream = createRpcClient(DelegatedIdentity, served.channel()).subscribeToX509Bundles({});
  const reader = stream[Symbol.asyncIterator]();
  await reader.next();
  await reader.return?.();
  await until('the call has ended', () => outcomes.length === 1);
  assert.equal(outcomes[0]?.code, 1);
});
