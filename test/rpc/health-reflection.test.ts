import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, createFileRegistry, fromBinary, type MessageInitShape } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { createRpcClient } from '../../src/rpc/client.js';
import { type HealthState, healthService } from '../../src/rpc/health.js';
import { addReflection } from '../../src/rpc/reflection.js';
import { isRpcError } from '../../src/rpc/rpc-error.js';
import type { RpcServer } from '../../src/rpc/server.js';
import { Health, HealthCheckResponse_ServingStatus } from '../../src/wire/gen/grpc/health_pb.js';
import {
  ServerReflection,
  type ServerReflectionRequestSchema,
} from '../../src/wire/gen/grpc/reflection_pb.js';
import { ServerReflection as Alpha } from '../../src/wire/gen/grpc/reflection_v1alpha_pb.js';
import { SpiffeWorkloadAPI } from '../../src/wire/gen/spiffe/workload_pb.js';
import { Entry } from '../../src/wire/gen/spire/server/entry_pb.js';
import { type Caller, failureOf, serve } from './support.js';

const { SERVING, NOT_SERVING, SERVICE_UNKNOWN } = HealthCheckResponse_ServingStatus;

function fakeHealth(states: Record<string, boolean>) {
  const listeners = new Set<() => void>();
  const state: HealthState = {
    serving: (service) => states[service],
    services: () => Object.keys(states),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const set = (service: string, serving: boolean) => {
    states[service] = serving;
    for (const listener of listeners) listener();
  };
  return { state, set, listeners };
}

test('health is checked, listed and watched; an unknown service is NotFound', async (t) => {
  const health = fakeHealth({ '': true, other: false });
  const served = await serve(t, (server) => server.add(Health, healthService<Caller>(health.state)));
  const client = createRpcClient(Health, served.channel());
  assert.equal((await client.check({})).status, SERVING);
  assert.equal((await client.check({ service: 'other' })).status, NOT_SERVING);
  const error = await failureOf(client.check({ service: 'nobody' }));
  assert.ok(isRpcError(error, 'NOT_FOUND'));
  assert.equal(error.message, 'no service "nobody" here');
  const { statuses } = await client.list({});
  assert.deepEqual(
    Object.entries(statuses).map(([name, one]) => [name, one.status]),
    [
      ['', SERVING],
      ['other', NOT_SERVING],
    ],
  );

  const watch = client.watch({ service: 'later' })[Symbol.asyncIterator]();
  const next = async () => (await watch.next()).value?.status;
  assert.equal(await next(), SERVICE_UNKNOWN);
  health.set('later', false);
  assert.equal(await next(), NOT_SERVING);
  health.set('', false);
  health.set('later', true);
  assert.equal(await next(), SERVING, 'what did not change was not told');
  await watch.return?.();
  const until = Date.now() + 2000;
  while (health.listeners.size > 0 && Date.now() < until)
    await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(health.listeners.size, 0, 'nobody listens any more');
});

const reflecting = (server: RpcServer<Caller>) => {
  server.add(SpiffeWorkloadAPI, {});
  addReflection(server);
  server.add(Entry, {});
};

type Question = NonNullable<MessageInitShape<typeof ServerReflectionRequestSchema>['messageRequest']>;

for (const [version, service] of [
  ['v1', ServerReflection],
  // The same messages under another name.
  ['v1alpha', Alpha as unknown as typeof ServerReflection],
] as const) {
  test(`reflection ${version} lists the services and describes each with its imports`, async (t) => {
    const served = await serve(t, reflecting);
    const stream = createRpcClient(service, served.channel()).serverReflectionInfo();
    const answers = stream.responses[Symbol.asyncIterator]();
    const ask = async (messageRequest: Question) => {
      await stream.send({ host: 'h', messageRequest });
      const { value } = await answers.next();
      assert.equal(value?.validHost, 'h');
      return value?.messageResponse;
    };
    const list = await ask({ case: 'listServices', value: '' });
    assert.deepEqual(list?.case === 'listServicesResponse' && list.value.service.map((one) => one.name), [
      'SpiffeWorkloadAPI',
      'grpc.reflection.v1.ServerReflection',
      'grpc.reflection.v1alpha.ServerReflection',
      'spire.api.server.entry.v1.Entry',
    ]);
    for (const symbol of [
      'spire.api.server.entry.v1.Entry',
      'spire.api.server.entry.v1.Entry.CountEntries',
      'spire.api.server.entry.v1.ListEntriesRequest.Filter',
      'spire.api.server.entry.v1.EntryRevision.id',
    ]) {
      const found = await ask({ case: 'fileContainingSymbol', value: symbol });
      assert.ok(found?.case === 'fileDescriptorResponse', symbol);
      const file = found.value.fileDescriptorProto.map((bytes) =>
        fromBinary(FileDescriptorProtoSchema, bytes),
      );
      // A client builds its own registry out of nothing but these files.
      const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: [...file].reverse() }));
      const described = registry.getService('spire.api.server.entry.v1.Entry');
      assert.equal(described?.method['syncAuthorizedEntries']?.methodKind, 'bidi_streaming');
    }
    const byName = await ask({ case: 'fileByFilename', value: 'spire/types.proto' });
    assert.equal(byName?.case, 'fileDescriptorResponse');
    for (const [question, message] of [
      [{ case: 'fileContainingSymbol', value: 'no.Such' }, 'symbol "no.Such" is not known here'],
      [{ case: 'fileByFilename', value: 'x.proto' }, 'file "x.proto" is not known here'],
      [{ case: 'allExtensionNumbersOfType', value: 'a.B' }, 'there are no extensions here'],
    ] satisfies [Question, string][]) {
      const answer = await ask(question);
      assert.ok(answer?.case === 'errorResponse');
      assert.deepEqual([answer.value.errorCode, answer.value.errorMessage], [5, message]);
    }
    stream.cancel();
  });
}
