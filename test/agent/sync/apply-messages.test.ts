import assert from 'node:assert/strict';
import test from 'node:test';
import { isWithdrawn, MessageApplier } from '../../../src/agent/sync/apply-messages.js';
import { TouchmarkError } from '../../../src/errors.js';
import { silentLogger } from '../../../src/log.js';
import { parseTrustDomain } from '../../../src/spiffe/id.js';
import { makeEntry } from '../../fakes/entries.js';
import { fakeIdentityStore } from '../../fakes/identity-store.js';
import { manualClock } from '../../fakes/manual-clock.js';
import { bundlesMessage, delta, wholeSet } from '../../fakes/memory-server.js';
import { throwsCode } from '../../support/rejects.js';

function begin(t: test.TestContext) {
  const store = fakeIdentityStore({ clock: manualClock() });
  t.after(() => store[Symbol.dispose]());
  const failures: string[] = [];
  const believed: { refuse: boolean; count: number } = { refuse: false, count: 0 };
  const applier = new MessageApplier(
    {
      store,
      log: silentLogger(),
      reattestAt: () => {},
      ownBundle() {
        believed.count += 1;
        if (believed.refuse) throw new TouchmarkError('server_answer_invalid', 'a bundle of other.org');
      },
    },
    { fail: (code, message) => failures.push(`${code}: ${message}`) },
  );
  return { store, applier, failures, believed };
}

const verdict = (state: string) =>
  ({ kind: 'verdict', state, reasons: [], reattestAt: 0, graceEndsAt: 0 }) as const;

test('an own bundle that is not believed never reaches the store', (t) => {
  const { store, applier, believed } = begin(t);
  believed.refuse = true;
  throwsCode('server_answer_invalid', /^a bundle of other.org$/, () =>
    applier.apply(bundlesMessage(store.authority.bundle())),
  );
  assert.equal(store.bundles, undefined);
});

test('foreign bundles alone keep the own one that is held, and replace the foreign ones', (t) => {
  const { store, applier, believed } = begin(t);
  const own = store.authority.bundle();
  const partner = { ...own, trustDomain: parseTrustDomain('partner.example') };
  applier.apply(bundlesMessage(own));
  applier.apply({ kind: 'bundles', own: undefined, federated: [partner], crls: [] });
  assert.equal(store.bundles?.own, own);
  assert.deepEqual([...(store.bundles?.federated.keys() ?? [])], ['partner.example']);
  applier.apply({ kind: 'bundles', own: undefined, federated: [], crls: [] });
  assert.equal(store.bundles?.federated.size, 0);
  assert.equal(believed.count, 1);
});

test('a bundle of our own domain among the foreign ones is refused', (t) => {
  const { store, applier } = begin(t);
  const own = store.authority.bundle();
  throwsCode(
    'server_answer_invalid',
    /^the server sent a bundle of example.org among those of foreign trust domains$/,
    () => applier.apply(bundlesMessage(own, [own])),
  );
  assert.equal(store.bundles, undefined);
});

test('serving needs bundles and entries, in whichever order they come', (t) => {
  for (const order of [
    [0, 1],
    [1, 0],
  ]) {
    const { store, applier } = begin(t);
    const messages = [wholeSet([makeEntry('a')], 1n), bundlesMessage(store.authority.bundle())];
    for (const [at, which] of order.entries()) {
      assert.equal(store.status.phase, 'starting');
      applier.apply(messages[which] ?? assert.fail());
      assert.equal(store.status.phase, at === 0 ? 'starting' : 'serving');
    }
  }
});

test('a verdict that takes everything back withdraws by itself, once', (t) => {
  for (const state of ['drifted', 'quarantined', 'banned', 'retired']) {
    const { store, applier } = begin(t);
    store.serve();
    store.put(makeEntry('a'));
    applier.apply(verdict(state));
    assert.deepEqual([store.status.phase, store.status.state, store.entries().size], ['withdrawn', state, 0]);
    const { version } = store;
    applier.apply(verdict(state));
    assert.equal(store.version, version);
  }
});

test('a verdict that lets a node be does not withdraw', (t) => {
  for (const state of ['trusted', 'suspect', 'unmeasured', 'pending', 'stale', '', '77']) {
    const { store, applier } = begin(t);
    store.serve();
    applier.apply(verdict(state));
    assert.deepEqual([store.status.phase, store.status.state, isWithdrawn(state)], ['serving', state, false]);
  }
});

test('entries that come under a bad verdict do not make the node serve', (t) => {
  const { store, applier } = begin(t);
  applier.apply(bundlesMessage(store.authority.bundle()));
  applier.apply(verdict('quarantined'));
  applier.apply(wholeSet([makeEntry('a')], 1n));
  assert.equal(store.status.phase, 'withdrawn');
});

test('after something unusable the whole set is asked for, and changes wait for it', (t) => {
  const { store, applier, failures } = begin(t);
  applier.apply(wholeSet([makeEntry('a')], 1n));
  applier.apply({ kind: 'unusable', why: 'a message of kind entries: nonsense' });
  assert.deepEqual(failures, ['message_unusable: a message of kind entries: nonsense']);
  applier.apply(delta(3n, [makeEntry('c')]));
  assert.deepEqual([...store.entries().keys()], ['a'], 'revision 2 is missing');
  applier.apply(wholeSet([makeEntry('b'), makeEntry('c')], 3n));
  assert.deepEqual([...store.entries().keys()], ['b', 'c']);
  throwsCode('server_answer_invalid', /^the server keeps sending more$/, () =>
    applier.apply({ kind: 'unusable', why: 'more' }),
  );
});

test('heartbeats change nothing', (t) => {
  const { store, applier } = begin(t);
  const { version, status } = store;
  applier.apply({ kind: 'heartbeat', serverTime: 5 });
  assert.deepEqual([store.version, store.status], [version, status]);
});
