import assert from 'node:assert/strict';
import { createConnection } from 'node:net';
import { describe, test } from 'node:test';
import { silentLogger } from '../../../src/log.js';
import { createRpcClient } from '../../../src/rpc/client.js';
import { emptyBundle } from '../../../src/spiffe/bundle.js';
import {
  Health,
  HealthCheckResponse_ServingStatus as Serving,
} from '../../../src/wire/gen/grpc/health_pb.js';
import { ServerReflection } from '../../../src/wire/gen/grpc/reflection_pb.js';
import { SpiffeWorkloadAPI } from '../../../src/wire/gen/spiffe/workload_pb.js';
import { Debug } from '../../../src/wire/gen/spire/agent/debug_pb.js';
import { Logger } from '../../../src/wire/gen/spire/agent/logger_pb.js';
import { LogLevel } from '../../../src/wire/gen/spire/types_pb.js';
import { entryDomain, entryOf } from '../../support/entries.js';
import { header, mine, reader, rpcFailure, serveForTest, workloadClient } from './support.js';

type Api = ReturnType<typeof workloadClient>;
type Options = NonNullable<Parameters<Api['fetchJWTSVID']>[1]>;

/** Every method of the API, as far as its first answer. */
const methods: Readonly<Record<string, (api: Api, options: Options) => Promise<unknown>>> = {
  FetchX509SVID: (api, options) => reader(api.fetchX509SVID({}, options)).next(),
  FetchX509Bundles: (api, options) => reader(api.fetchX509Bundles({}, options)).next(),
  FetchJWTSVID: (api, options) => api.fetchJWTSVID({ audience: ['a'] }, options),
  FetchJWTBundles: (api, options) => reader(api.fetchJWTBundles({}, options)).next(),
  ValidateJWTSVID: (api, options) => api.validateJWTSVID({ audience: 'a', svid: 'x' }, options),
  FetchWITSVID: (api, options) => reader(api.fetchWITSVID({}, options)).next(),
  FetchWITBundles: (api, options) => reader(api.fetchWITBundles({}, options)).next(),
};

describe('the Workload Endpoint', () => {
  test('WE-04 WE-05 every method without exactly the security header is InvalidArgument, before anything is known', async (t) => {
    const { api } = await serveForTest(t);
    for (const [name, call] of Object.entries(methods)) {
      for (const value of [undefined, 'True', 'TRUE', '1', '', 'false', 'true,true']) {
        const options = value === undefined ? {} : { metadata: { 'workload.spiffe.io': value } };
        const { rpc, code, message } = await rpcFailure(call(api, options));
        assert.deepEqual([rpc, code], ['INVALID_ARGUMENT', 'security_header_missing'], `${name} ${value}`);
        assert.match(message, /security header missing/);
      }
    }
  });

  test('WE-15 DF-03 while the agent starts every method is Unavailable', async (t) => {
    const { api } = await serveForTest(t);
    for (const name of [
      'FetchX509SVID',
      'FetchX509Bundles',
      'FetchJWTSVID',
      'FetchJWTBundles',
      'ValidateJWTSVID',
    ]) {
      const { rpc, code, message } = await rpcFailure(methods[name]?.(api, header) ?? Promise.resolve());
      assert.deepEqual([rpc, code], ['UNAVAILABLE', 'agent_starting'], name);
      assert.match(message, /starting/);
    }
  });

  test('WE-16 DF-04 WX-11 WX-13 WJ-05 WJ-09 a caller without an entry is PermissionDenied, in the words that clients know', async (t) => {
    const { api, store } = await serveForTest(t);
    store.serve();
    for (const name of [
      'FetchX509SVID',
      'FetchX509Bundles',
      'FetchJWTSVID',
      'FetchJWTBundles',
      'ValidateJWTSVID',
    ]) {
      const { rpc, code, message } = await rpcFailure(methods[name]?.(api, header) ?? Promise.resolve());
      assert.deepEqual([rpc, code], ['PERMISSION_DENIED', 'no_identity'], name);
      assert.match(message, /no identity issued/);
    }
  });

  test('WE-16 a withdrawn host is PermissionDenied, and workloads are not told why', async (t) => {
    const { api, store } = await serveForTest(t);
    store.serve();
    store.withdraw('drifted', [
      { code: 'kernel_unknown', message: 'vmlinuz 6.1 is not in any reference set' },
    ]);
    for (const name of [
      'FetchX509SVID',
      'FetchX509Bundles',
      'FetchJWTSVID',
      'FetchJWTBundles',
      'ValidateJWTSVID',
    ]) {
      const { rpc, code, message } = await rpcFailure(methods[name]?.(api, header) ?? Promise.resolve());
      assert.deepEqual([rpc, code], ['PERMISSION_DENIED', 'identities_withdrawn'], name);
      assert.match(message, /no identity issued/);
      assert.doesNotMatch(message, /vmlinuz/);
    }
  });

  test('WW-01 WE-17 the WIT methods are Unimplemented with a valid header', async (t) => {
    const { api, store } = await serveForTest(t);
    store.serve();
    for (const name of ['FetchWITSVID', 'FetchWITBundles']) {
      const { rpc, message } = await rpcFailure(methods[name]?.(api, header) ?? Promise.resolve());
      assert.equal(rpc, 'UNIMPLEMENTED', name);
      assert.match(message, /not implemented/);
    }
  });

  test('WE-18 WE-19 WE-20 D-12 reflection lists the Workload API with its seven methods and no more', async (t) => {
    const { channel } = await serveForTest(t);
    const stream = createRpcClient(ServerReflection, channel()).serverReflectionInfo();
    const answers = reader(stream.responses);
    await stream.send({ messageRequest: { case: 'listServices', value: '' } });
    const listed = (await answers.next()).messageResponse;
    assert.equal(listed.case, 'listServicesResponse');
    const names = listed.value.service.map(({ name }) => name);
    for (const name of ['SpiffeWorkloadAPI', 'grpc.health.v1.Health', 'touchmark.explain.v1.Explain'])
      assert.ok(names.includes(name), `${name} in ${names}`);
    stream.cancel();
    assert.deepEqual(SpiffeWorkloadAPI.methods.map(({ name }) => name).sort(), Object.keys(methods).sort());
  });

  test('WE-21 DF-11 D-6 health needs no header and follows the agent', async (t) => {
    const { channel, store } = await serveForTest(t);
    const health = createRpcClient(Health, channel());
    assert.equal((await health.check({ service: '' })).status, Serving.NOT_SERVING);
    store.serve();
    assert.equal((await health.check({ service: '' })).status, Serving.SERVING);
    assert.equal((await health.check({ service: 'SpiffeWorkloadAPI' })).status, Serving.SERVING);
    assert.equal((await rpcFailure(health.check({ service: 'other' }))).rpc, 'NOT_FOUND');
    store.withdraw('banned', []);
    assert.equal((await health.check({ service: '' })).status, Serving.NOT_SERVING);
  });

  test('WE-02 WE-06 WE-07 a plaintext client without any credential is served', async (t) => {
    const { api, store } = await serveForTest(t);
    store.serve();
    store.put(entryOf('one', [mine]));
    assert.equal((await reader(api.fetchX509SVID({}, header)).next()).svids.length, 1);
  });

  test('WX-13 bundles go to callers without an entry only where the operator said so, identities never', async (t) => {
    const { api, store } = await serveForTest(t, { config: { allowUnauthenticatedVerifiers: true } });
    store.serve();
    const foreign = { ...emptyBundle(entryDomain), trustDomain: 'other.test' as typeof entryDomain };
    store.publish([foreign]);
    assert.deepEqual(Object.keys((await reader(api.fetchX509Bundles({}, header)).next()).bundles), [
      'spiffe://example.org',
    ]);
    assert.deepEqual(Object.keys((await reader(api.fetchJWTBundles({}, header)).next()).bundles), [
      'spiffe://example.org',
    ]);
    assert.equal((await rpcFailure(reader(api.fetchX509SVID({}, header)).next())).code, 'no_identity');
    assert.equal((await rpcFailure(api.fetchJWTSVID({ audience: ['a'] }, header))).code, 'no_identity');
  });
});

describe('limits of the public socket', () => {
  test('a user who holds too many streams is refused another, and gets one when one has ended', async (t) => {
    const limits = { connectionsPerUid: 8, streamsPerUid: 3, jwtCache: 10 };
    const { api, store } = await serveForTest(t, { config: { limits } });
    store.serve();
    store.put(entryOf('one', [mine]));
    const streams = [1, 2, 3].map(() => reader(api.fetchX509SVID({}, header)));
    for (const stream of streams) await stream.next();
    const { rpc, code, message } = await rpcFailure(reader(api.fetchX509SVID({}, header)).next());
    assert.deepEqual([rpc, code], ['RESOURCE_EXHAUSTED', 'too_many_streams']);
    assert.match(message, /3 calls running/);
    await streams[0]?.leave();
    await waitUntil(() =>
      api.fetchJWTSVID({ audience: ['a'] }, header).then(
        () => true,
        () => false,
      ),
    );
  });

  test('connections beyond the limit replace idle ones; those with a stream stay', async (t) => {
    const limits = { connectionsPerUid: 4, streamsPerUid: 100, jwtCache: 10 };
    const served = await serveForTest(t, { config: { limits } });
    served.store.serve();
    served.store.put(entryOf('one', [mine]));
    const stream = reader(served.api.fetchX509SVID({}, header));
    await stream.next();
    const idle = Array.from({ length: 20 }, () => createConnection(served.socketPath).on('error', () => {}));
    t.after(() => {
      for (const socket of idle) socket.destroy();
    });
    await Promise.all(idle.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
    const other = workloadClient(served.channel());
    assert.equal((await reader(other.fetchX509SVID({}, header)).next()).svids.length, 1);
    served.store.put(entryOf('two', [mine]));
    assert.equal((await stream.next()).svids.length, 2);
  });
});

describe('the admin socket', () => {
  test('tells what the agent holds', async (t) => {
    const { channel, adminSocketPath, store } = await serveForTest(t);
    store.serve();
    store.put(entryOf('one', [mine]));
    const debug = createRpcClient(Debug, channel(adminSocketPath));
    await waitUntil(async () => (await debug.getInfo({})).cachedX509SvidsCount === 1);
    const { svidChain, lastSyncSuccess, uptime } = await debug.getInfo({});
    assert.equal(svidChain[0]?.id?.path, '/spire/agent/join_token/one');
    assert.ok(lastSyncSuccess > 0n);
    assert.ok(uptime < 60);
  });

  test('changes the log level and goes back', async (t) => {
    const { channel, adminSocketPath } = await serveForTest(t, { log: silentLogger() });
    const logger = createRpcClient(Logger, channel(adminSocketPath));
    assert.equal((await logger.getLogger({})).currentLevel, LogLevel.INFO);
    const set = await logger.setLogLevel({ newLevel: LogLevel.DEBUG });
    assert.deepEqual([set.currentLevel, set.launchLevel], [LogLevel.DEBUG, LogLevel.INFO]);
    assert.equal((await logger.setLogLevel({ newLevel: LogLevel.FATAL })).currentLevel, LogLevel.ERROR);
    const { rpc, code, message } = await rpcFailure(logger.setLogLevel({ newLevel: 77 as LogLevel }));
    assert.deepEqual([rpc, code], ['INVALID_ARGUMENT', 'log_level_invalid']);
    assert.match(message, /77/);
    assert.equal((await logger.resetLogLevel({})).currentLevel, LogLevel.INFO);
  });

  test('serves no identities, and is not there when it is not configured', async (t) => {
    const served = await serveForTest(t);
    const api = workloadClient(served.channel(served.adminSocketPath));
    assert.equal((await rpcFailure(reader(api.fetchX509SVID({}, header)).next())).rpc, 'UNIMPLEMENTED');
    const without = await serveForTest(t, { config: { adminSocketPath: '' } });
    const { rpc } = await rpcFailure(
      createRpcClient(Debug, without.channel(without.adminSocketPath || '/nowhere')).getInfo({}),
    );
    assert.equal(rpc, 'UNAVAILABLE');
  });

  test('is not served to the public', async (t) => {
    const { channel } = await serveForTest(t);
    assert.equal((await rpcFailure(createRpcClient(Debug, channel()).getInfo({}))).rpc, 'UNIMPLEMENTED');
    assert.equal((await rpcFailure(createRpcClient(Logger, channel()).getLogger({}))).rpc, 'UNIMPLEMENTED');
  });
});

async function waitUntil(holds: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 3_000; Date.now() < end; ) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.fail('it did not come about');
}
