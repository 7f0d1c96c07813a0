import assert from 'node:assert/strict';
import test from 'node:test';
import { MessageApplier, type StoreMessage } from '../../../src/agent/sync/apply-messages.js';
import { silentLogger } from '../../../src/log.js';
import { makeSpiffeId } from '../../../src/spiffe/id.js';
import { Cause } from '../../../src/wire/gen/touchmark/explain/v1/explain_pb.js';
import { HostState } from '../../../src/wire/gen/touchmark/host/v1/state_pb.js';
import { wholeSet } from '../../fakes/memory-server.js';
import { entryDomain, entryOf } from '../../support/entries.js';
import { header, mine, reader, rpcFailure, serveForTest } from './support.js';

const reasons = [{ code: 'file_unknown', message: '/usr/bin/evil is in no reference set' }];
const entry = entryOf('a', [mine], { spiffeId: makeSpiffeId(entryDomain, '/web') });
const verdict = (state: string, why = [...reasons]): StoreMessage => ({
  ...{ kind: 'verdict', state, reasons: why, reattestAt: 0, graceEndsAt: 0 },
});

/** The agent between what its server says and what its workloads see. */
async function begin(t: test.TestContext) {
  const served = await serveForTest(t);
  const { store } = served;
  const applier = new MessageApplier(
    { store, log: silentLogger(), reattestAt: () => {}, ownBundle: () => {} },
    { fail: (_code, message) => assert.fail(message) },
  );
  const say = (...messages: StoreMessage[]) => {
    for (const message of messages) applier.apply(message);
  };
  const bundles = (crls: readonly Uint8Array[] = []): StoreMessage => ({
    ...{ kind: 'bundles', own: store.authority.bundle(), federated: [], crls },
  });
  say(verdict('trusted', []), bundles(), wholeSet([entry], 1n));
  return { ...served, say, bundles };
}

const audience = ['test'];

test('drift ends streams, keys and tokens at once; only operators are told why', async (t) => {
  const { api, admin, explain, store, say } = await begin(t);
  const streams = [
    api.fetchX509SVID({}, header),
    api.fetchX509Bundles({}, header),
    api.fetchJWTBundles({}, header),
  ];
  const readers = streams.map((stream) => reader<unknown>(stream));
  for (const one of readers) await one.next();
  await api.fetchJWTSVID({ audience }, header);
  assert.deepEqual(store.counts, { entries: 1, x509: 1, jwt: 1 });
  const began = performance.now();
  say(verdict('drifted'), { kind: 'withdraw', reasons });
  assert.deepEqual(store.counts, { entries: 0, x509: 0, jwt: 0 });
  for (const one of readers) {
    const { rpc, code, message } = await one.end();
    assert.deepEqual([rpc, code], ['PERMISSION_DENIED', 'identities_withdrawn']);
    assert.match(message, /the server withdrew this host's identities$/);
  }
  t.diagnostic(`three streams ended after ${(performance.now() - began).toFixed(1)} ms`);
  const refused = await rpcFailure(api.fetchJWTSVID({ audience }, header));
  assert.deepEqual([refused.rpc, refused.code], ['PERMISSION_DENIED', 'identities_withdrawn']);
  const told = await admin.explain({});
  assert.deepEqual([told.cause, told.node?.state], [Cause.NODE, HostState.DRIFTED]);
  assert.match(told.message, /\(file_unknown: \/usr\/bin\/evil is in no reference set\)$/);
  const toWorkload = await explain.explain({});
  assert.equal(toWorkload.cause, Cause.NODE);
  assert.doesNotMatch(toWorkload.message, /evil/);
});

test('when the host is good again, the next streams get new keys at once', async (t) => {
  const { api, admin, say, bundles } = await begin(t);
  const before = reader(api.fetchX509SVID({}, header));
  const first = (await before.next()).svids[0];
  say(verdict('drifted'), { kind: 'withdraw', reasons });
  await before.end();
  const early = await reader(api.fetchX509SVID({}, header)).end();
  assert.equal(early.rpc, 'PERMISSION_DENIED');
  const began = performance.now();
  say(verdict('trusted', []), bundles(), wholeSet([entry], 2n));
  const after = await reader(api.fetchX509SVID({}, header)).next();
  t.diagnostic(`identity back after ${(performance.now() - began).toFixed(1)} ms`);
  assert.equal(after.svids[0]?.spiffeId, first?.spiffeId);
  assert.notDeepEqual(after.svids[0]?.x509SvidKey, first?.x509SvidKey);
  assert.notDeepEqual(after.svids[0]?.x509Svid, first?.x509Svid);
  assert.equal((await api.fetchJWTSVID({ audience }, header)).svids.length, 1);
  const told = await admin.explain({});
  assert.deepEqual([told.cause, told.node?.state, told.node?.reasons], [Cause.NONE, HostState.TRUSTED, []]);
});

test('a verdict that serves brings nothing back by itself: what was dropped must come anew', async (t) => {
  const { api, store, say } = await begin(t);
  say(verdict('drifted'));
  assert.deepEqual(store.held, { revision: 0n, epoch: '' });
  say(verdict('trusted', []));
  const { rpc } = await reader(api.fetchX509SVID({}, header)).end();
  assert.equal(rpc, 'PERMISSION_DENIED');
  say(wholeSet([entry], 2n));
  assert.equal((await reader(api.fetchX509SVID({}, header)).next()).svids.length, 1);
});

test('a CRL reaches open streams of SVIDs and of bundles as soon as it is there', async (t) => {
  const { api, say, bundles } = await begin(t);
  const svids = reader(api.fetchX509SVID({}, header));
  const trust = reader(api.fetchX509Bundles({}, header));
  const tokens = reader(api.fetchJWTBundles({}, header));
  assert.deepEqual([(await svids.next()).crl, (await trust.next()).crl], [[], []]);
  await tokens.next();
  const crl = Uint8Array.of(0x30, 3, 2, 1, 1);
  say(bundles([crl]));
  assert.deepEqual([(await svids.next()).crl, (await trust.next()).crl], [[crl], [crl]]);
  say(bundles([crl]));
  assert.ok(await svids.silent());
  assert.ok(await tokens.silent());
});
