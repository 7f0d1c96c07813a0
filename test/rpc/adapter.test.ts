import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { anyPack, anyUnpack } from '@bufbuild/protobuf/wkt';
import { status } from '@grpc/grpc-js';
import { TouchmarkError } from '../../src/errors.js';
import { createLogger } from '../../src/log.js';
import type { Call, Outcome } from '../../src/rpc/call.js';
import { createRpcClient } from '../../src/rpc/client.js';
import { encoded } from '../../src/rpc/encoded.js';
import { withDetails } from '../../src/rpc/error-status.js';
import { isRpcError, RpcError } from '../../src/rpc/rpc-error.js';
import {
  CountEntriesResponseSchema,
  Entry,
  SyncAuthorizedEntriesResponseSchema,
} from '../../src/wire/gen/spire/server/entry_pb.js';
import {
  EntrySchema,
  PermissionDeniedDetails_Reason,
  PermissionDeniedDetailsSchema,
} from '../../src/wire/gen/spire/types_pb.js';
import { type Caller, collect, failureOf, serve } from './support.js';

const count = (n: number) => create(CountEntriesResponseSchema, { count: n });

test('a unary call reaches its handler with the caller of its connection', async (t) => {
  const seen: Call<Caller>[] = [];
  const served = await serve(
    t,
    (server) =>
      server.add(Entry, {
        async getEntry(request, call) {
          seen.push(call);
          return create(EntrySchema, { id: `${call.caller.name}:${request.id}` });
        },
      }),
    {},
    (n) => `caller-${n}`,
  );
  const first = createRpcClient(Entry, served.channel());
  const second = createRpcClient(Entry, served.channel());
  assert.equal((await first.getEntry({ id: 'a' })).id, 'caller-1:a');
  assert.equal((await second.getEntry({ id: 'b' })).id, 'caller-2:b');
  assert.equal(
    (await first.getEntry({ id: 'c' }, { metadata: { 'workload.spiffe.io': 'true' } })).id,
    'caller-1:c',
  );
  const [call, , last] = seen;
  assert.deepEqual(call?.method, {
    path: '/spire.api.server.entry.v1.Entry/GetEntry',
    service: 'spire.api.server.entry.v1.Entry',
    name: 'GetEntry',
    kind: 'unary',
  });
  assert.ok(call !== undefined && call.caller.fd > 2, 'the accepted descriptor was handed to identify');
  assert.equal(call.deadline, undefined);
  assert.notEqual(call.requestId, last?.requestId);
  assert.deepEqual(last?.metadata.get('workload.spiffe.io'), ['true']);
});

test('a method without a handler answers Unimplemented with a sentence', async (t) => {
  const served = await serve(t, (server) => server.add(Entry, {}));
  const client = createRpcClient(Entry, served.channel());
  const unary = await failureOf(client.countEntries({}));
  assert.ok(isRpcError(unary, 'UNIMPLEMENTED'));
  assert.equal(unary.code, 'method_unimplemented');
  assert.equal(
    unary.message,
    '/spire.api.server.entry.v1.Entry/CountEntries is not implemented by this server',
  );
  const stream = client.syncAuthorizedEntries();
  stream.closeSend();
  const bidi = await failureOf(collect(stream.responses));
  assert.ok(isRpcError(bidi, 'UNIMPLEMENTED'));
});

test('a TouchmarkError keeps its code, message and details on the wire', async (t) => {
  const reason = PermissionDeniedDetails_Reason.AGENT_BANNED;
  const served = await serve(t, (server) =>
    server.add(Entry, {
      async countEntries() {
        const detail = create(PermissionDeniedDetailsSchema, { reason });
        throw withDetails(new TouchmarkError('node_banned', 'this node is banned: ä\n\ud800'), [
          anyPack(PermissionDeniedDetailsSchema, detail),
        ]);
      },
    }),
  );
  const error = await failureOf(createRpcClient(Entry, served.channel()).countEntries({}));
  assert.ok(error instanceof RpcError);
  assert.equal(error.rpc, 'PERMISSION_DENIED');
  assert.equal(error.code, 'node_banned');
  assert.equal(error.message, 'this node is banned: ä\n\ufffd');
  const details = error.details.map((any) => anyUnpack(any, PermissionDeniedDetailsSchema)?.reason);
  assert.deepEqual(details, [undefined, reason]);
});

test('a fault of ours tells the peer a request number only, and the log everything', async (t) => {
  const lines: string[] = [];
  const log = createLogger({
    format: 'json',
    write: (line) => lines.push(line),
    clock: { now: () => 0, monotonic: () => 0, after: () => () => {} },
    journal: false,
  });
  const served = await serve(
    t,
    (server) =>
      server.add(Entry, {
        async countEntries() {
          throw new TypeError('secret path /etc/x');
        },
      }),
    { log },
  );
  const error = await failureOf(createRpcClient(Entry, served.channel()).countEntries({}));
  assert.ok(isRpcError(error, 'INTERNAL'));
  const request = /^internal error \(request ([0-9a-z]+-[0-9a-z]+)\)$/.exec(error.message)?.[1];
  assert.ok(request !== undefined, error.message);
  const line = JSON.parse(lines.find((text) => text.includes('a call failed')) ?? '{}') as Record<
    string,
    string
  >;
  assert.equal(line['request'], request);
  assert.match(line['error'] ?? '', /TypeError: secret path \/etc\/x\n/);
});

test('interceptors run in order before, in reverse after, and see refusals of every kind', async (t) => {
  const trail: string[] = [];
  const outcomes: Outcome[] = [];
  const served = await serve(
    t,
    (server) =>
      server.add(Entry, {
        async countEntries(_request, call) {
          call.audit['entries'] = 3;
          return count(3);
        },
        async *syncAuthorizedEntries(requests) {
          for await (const _ of requests) yield create(SyncAuthorizedEntriesResponseSchema, {});
        },
      }),
    {
      interceptors: [
        {
          before: (call, request) => {
            trail.push(`1 ${call.method.name} ${request?.$typeName ?? 'stream'}`);
            if (call.metadata.get('refuse').length > 0) throw new TouchmarkError('node_refused', 'no');
          },
          after: (call, outcome) => {
            trail.push(`1 after ${outcome.code} ${JSON.stringify(call.audit)}`);
            outcomes.push(outcome);
            throw new Error('a broken audit must not break the call');
          },
        },
        {
          before: async () => {
            trail.push('2');
          },
          after: () => void trail.push('2 after'),
        },
      ],
    },
  );
  const client = createRpcClient(Entry, served.channel());
  assert.equal((await client.countEntries({})).count, 3);
  assert.deepEqual(trail.splice(0), [
    '1 CountEntries spire.api.server.entry.v1.CountEntriesRequest',
    '2',
    '2 after',
    '1 after 0 {"entries":3}',
  ]);
  const refused = await failureOf(client.countEntries({}, { metadata: { refuse: '1' } }));
  assert.ok(isRpcError(refused, 'PERMISSION_DENIED'));
  assert.deepEqual(trail.splice(0).slice(1), ['2 after', '1 after 7 {}']);
  const stream = client.syncAuthorizedEntries();
  await stream.send({});
  stream.closeSend();
  assert.equal((await collect(stream.responses)).length, 1);
  assert.deepEqual(trail, ['1 SyncAuthorizedEntries stream', '2', '2 after', '1 after 0 {}']);
  const failed = outcomes[1];
  assert.ok(failed?.error instanceof TouchmarkError && failed.error.code === 'node_refused');
});

test('a request above its limit is refused, and so is one that is no message', async (t) => {
  const served = await serve(t, (server) => server.add(Entry, { countEntries: async () => count(1) }), {
    maxRequestBytes: 1000,
    maxRequestBytesOf: { '/spire.api.server.entry.v1.Entry/GetEntry': 10 },
  });
  const channel = served.channel();
  const client = createRpcClient(Entry, channel);
  const large = await failureOf(client.batchDeleteEntry({ ids: ['x'.repeat(2000)] }));
  assert.ok(isRpcError(large, 'RESOURCE_EXHAUSTED'));
  assert.match(large.message, /^request of 2003 bytes: BatchDeleteEntry takes at most 1000$/);
  const own = await failureOf(client.getEntry({ id: '12345678901' }));
  assert.ok(isRpcError(own, 'RESOURCE_EXHAUSTED'));
  const garbage = await new Promise<{ code: number; details: string }>((resolve) =>
    channel.client.makeUnaryRequest(
      '/spire.api.server.entry.v1.Entry/CountEntries',
      () => Buffer.from([0x0a, 0xff, 0xff]),
      (bytes: Buffer) => bytes,
      null,
      (error) => resolve(error ?? { code: 0, details: '' }),
    ),
  );
  assert.equal(garbage.code, status.INVALID_ARGUMENT);
  assert.match(
    garbage.details,
    /^request of CountEntries is no spire\.api\.server\.entry\.v1\.CountEntriesRequest: /,
  );
  const beyond = await failureOf(client.batchDeleteEntry({ ids: ['x'.repeat(5 * 1024 * 1024)] }));
  assert.ok(isRpcError(beyond, 'RESOURCE_EXHAUSTED'));
  assert.equal((await client.countEntries({})).count, 1, 'and it goes on serving');
});

test('fields of a request that are not known are dropped, and bytes are plain arrays', async (t) => {
  let names: string[] = [];
  const served = await serve(t, (server) =>
    server.add(Entry, {
      async getEntry(request) {
        names = Object.keys(request);
        return create(EntrySchema, {});
      },
    }),
  );
  const channel = served.channel();
  await new Promise<void>((resolve, reject) =>
    channel.client.makeUnaryRequest(
      '/spire.api.server.entry.v1.Entry/GetEntry',
      () => Buffer.from([0x0a, 0x01, 0x61, 0xf8, 0x07, 0x01]),
      (bytes: Buffer) => bytes,
      null,
      (error) => (error ? reject(error) : resolve()),
    ),
  );
  assert.ok(!names.includes('$unknown'), names.join());
});

test('an answer that is encoded already is sent as it is, by calls and by streams', async (t) => {
  const bytes = toBinary(CountEntriesResponseSchema, count(7));
  const page = toBinary(
    SyncAuthorizedEntriesResponseSchema,
    create(SyncAuthorizedEntriesResponseSchema, { entries: [{ id: 'a' }], more: true }),
  );
  const served = await serve(t, (server) =>
    server.add(Entry, {
      countEntries: async () => encoded(bytes),
      async *syncAuthorizedEntries() {
        yield encoded(page);
        yield encoded(new Uint8Array());
        yield create(SyncAuthorizedEntriesResponseSchema, { entries: [{ id: 'b' }] });
      },
    }),
  );
  const client = createRpcClient(Entry, served.channel());
  assert.equal((await client.countEntries({})).count, 7);
  assert.equal((await client.countEntries({})).count, 7);
  const stream = client.syncAuthorizedEntries();
  stream.closeSend();
  const pages = await collect(stream.responses);
  assert.deepEqual(
    pages.map(({ entries, more }) => [entries.map(({ id }) => id), more]),
    [
      [['a'], true],
      [[], false],
      [['b'], false],
    ],
  );
});
