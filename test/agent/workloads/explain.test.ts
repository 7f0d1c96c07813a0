import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { TouchmarkError } from '../../../src/errors.js';
import { Cause } from '../../../src/wire/gen/touchmark/explain/v1/explain_pb.js';
import { HostState } from '../../../src/wire/gen/touchmark/host/v1/state_pb.js';
import { until } from '../../fakes/manual-clock.js';
import { entryOf } from '../../support/entries.js';
import { foreign, header, mine, rpcFailure, serveForTest } from './support.js';

const files = { unix: { path: true, sha256: true, sizeLimit: 1 << 28 } };

describe('explain on the public socket', () => {
  test('tells a caller its own selectors and identities, and the default among them', async (t) => {
    const { explain, store } = await serveForTest(t);
    store.serve();
    store.put(entryOf('b', [mine], { hint: 'in' }), entryOf('a', [mine]), entryOf('z', [foreign]));
    await until('both are held', () => store.x509('a') !== undefined && store.x509('b') !== undefined);
    const answer = await explain.explain({ pid: 0 });
    assert.deepEqual(
      [answer.pid, answer.cause, answer.message],
      [process.pid, Cause.NONE, 'an identity is issued'],
    );
    assert.ok(answer.selectors.some(({ type, value }) => `${type}:${value}` === mine));
    assert.deepEqual(
      answer.identities.map((one) => [one.hint, one.default, one.weak]),
      [
        ['', true, false],
        ['in', false, false],
      ],
    );
    assert.ok(answer.identities.every(({ expiresAt }) => expiresAt > BigInt(Math.floor(Date.now() / 1000))));
  });

  test('tells neither entries, nor the node, nor anything of another process', async (t) => {
    const { explain, store } = await serveForTest(t);
    store.serve();
    store.put(entryOf('a', [mine, foreign]));
    const answer = await explain.explain({ pid: process.pid });
    assert.deepEqual([answer.cause, answer.near, answer.node], [Cause.ENTRY, [], undefined]);
    store.put(entryOf('b', [mine]));
    assert.deepEqual(
      (await explain.explain({})).identities.map(({ entryId }) => entryId),
      [''],
    );
    for (const pid of [1, process.ppid, -1, 2 ** 31 - 1]) {
      const { rpc, code, message } = await rpcFailure(explain.explain({ pid }));
      assert.deepEqual([rpc, code], ['PERMISSION_DENIED', 'explain_not_allowed']);
      assert.match(message, /itself only/);
    }
    store.withdraw('drifted', [{ code: 'kernel_unknown', message: 'vmlinuz' }]);
    const { message, cause } = await explain.explain({});
    assert.equal(cause, Cause.NODE);
    assert.doesNotMatch(message, /vmlinuz|kernel_unknown/);
  });
});

describe('explain on the admin socket', () => {
  test('cause NODE: not attested yet, with the code that waits for approval', async (t) => {
    const { admin, store } = await serveForTest(t);
    assert.match((await admin.explain({})).message, /not been attested yet$/);
    store.setStatus({ approvalCode: 'K7QD-22' });
    const { cause, message } = await admin.explain({});
    assert.equal(cause, Cause.NODE);
    assert.match(message, /approve K7QD-22/);
  });

  test('cause NODE: withdrawn, with the server’s reasons', async (t) => {
    const { admin, store } = await serveForTest(t);
    store.serve();
    store.withdraw('drifted', [{ code: 'kernel_unknown', message: 'vmlinuz 6.1 is in no reference set' }]);
    const { cause, message, node } = await admin.explain({});
    assert.equal(cause, Cause.NODE);
    assert.match(message, /withdrew .*kernel_unknown: vmlinuz 6\.1/);
    assert.deepEqual([node?.state, node?.reasons.length], [HostState.DRIFTED, 1]);
  });

  test('cause ENTRY: which entries came near, and what is missing', async (t) => {
    const { admin, store } = await serveForTest(t);
    store.serve();
    store.put(entryOf('far', [foreign, 'unix:user:x']), entryOf('near', [mine, 'systemd:id:web.service']));
    const { cause, near, node } = await admin.explain({});
    assert.equal(cause, Cause.ENTRY);
    assert.deepEqual(
      near.map(({ entryId }) => entryId),
      ['near', 'far'],
    );
    assert.deepEqual(
      near[0]?.missing.map(({ value }) => value),
      ['id:web.service'],
    );
    assert.equal(node?.serverConnected, true);
  });

  test('cause ATTESTOR: what failed may be why nothing matches', async (t) => {
    const { admin, store } = await serveForTest(t, {
      config: { workloadAttestors: { unix: { path: true, sha256: true, sizeLimit: 16 } } },
    });
    store.serve();
    store.put(entryOf('a', ['unix:sha256:00']));
    const { cause, message, attestors } = await admin.explain({});
    assert.equal(cause, Cause.ATTESTOR);
    assert.match(message, /unix:sha256/);
    assert.match(attestors.find(({ ok }) => !ok)?.error ?? '', /larger than 16 bytes/);
  });

  test('cause SERVER: an entry matches and nobody can sign', async (t) => {
    const { admin, store } = await serveForTest(t);
    store.serve();
    store.server.fail = new TouchmarkError('server_away', 'the server is away');
    store.put(entryOf('a', [mine]));
    store.setStatus({ connected: false });
    const { cause, message } = await admin.explain({});
    assert.equal(cause, Cause.SERVER);
    assert.match(message, /cannot be reached/);
  });

  test('cause SERVER: what the server said when it refused, to operators; to the workload that it did', async (t) => {
    const { admin, api, explain, store } = await serveForTest(t);
    store.serve();
    store.server.fail = new TouchmarkError('server_refused', 'the server says: not in the list of host 4711');
    store.put(entryOf('a', [mine], { disableX509SvidPrefetch: true }));
    assert.match((await admin.explain({})).message, /signed when it is asked for$/);
    const streams = await rpcFailure(api.fetchX509SVID({}, header)[Symbol.asyncIterator]().next());
    const token = await rpcFailure(api.fetchJWTSVID({ audience: ['x'] }, header));
    for (const { rpc, code, message } of [streams, token]) {
      assert.deepEqual([rpc, code], ['UNAVAILABLE', 'svid_unavailable']);
      assert.match(message, /: the server refuses to sign$/);
    }
    const told = await admin.explain({});
    assert.equal(told.cause, Cause.SERVER);
    assert.match(
      told.message,
      /^an entry matches, but signing failed at 20.*Z: the server says: not in the list of host 4711 \(server_refused\)$/,
    );
    const toWorkload = await explain.explain({});
    assert.deepEqual(
      [toWorkload.cause, toWorkload.message],
      [Cause.SERVER, 'an entry matches, but the server refuses to sign'],
    );
  });

  test('another process is looked at by its number; one that is gone is cause PROCESS or not found', async (t) => {
    const { admin, store } = await serveForTest(t);
    store.serve();
    const child = spawn('sleep', ['60']);
    t.after(() => child.kill());
    await once(child, 'spawn');
    const pid = child.pid ?? 0;
    const { selectors, cause } = await admin.explain({ pid });
    assert.equal(cause, Cause.ENTRY);
    assert.ok(selectors.some(({ value }) => value.startsWith('uid:')));
    child.kill();
    await once(child, 'exit');
    assert.equal((await rpcFailure(admin.explain({ pid }))).code, 'peer_gone');
  });

  test('an interpreter that an entry names by its file is marked as weak, whatever else the entry names', async (t) => {
    const { admin, store } = await serveForTest(t, { config: { workloadAttestors: files } });
    store.serve();
    const { selectors } = await admin.explain({});
    const path = selectors.find(({ value }) => value.startsWith('path:'));
    const digest = selectors.find(({ value }) => value.startsWith('sha256:'));
    assert.ok(path && digest);
    store.put(entryOf('a', [`unix:${path.value}`, mine]), entryOf('b', [`unix:${digest.value}`]));
    await until('both are held', () => store.x509('a') !== undefined && store.x509('b') !== undefined);
    const { message, identities } = await admin.explain({});
    assert.match(message, /node.* is an interpreter/);
    assert.deepEqual(
      identities.map(({ weak }) => weak),
      [true, true],
    );
    store.put(entryOf('a', [mine]));
    await until('a is held again', () => store.x509('a')?.entry.selectors.length === 1);
    assert.equal((await admin.explain({})).identities[0]?.weak, false);
  });
});
