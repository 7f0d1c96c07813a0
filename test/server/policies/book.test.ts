import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostNamed, policyWorld } from '../../fakes/policy-world.js';
import { groupManifest, policyManifest, setManifest } from '../../support/policy-manifests.js';
import { rejectsCode } from '../../support/rejects-async.js';

const fleet = [setManifest(), policyManifest(), groupManifest()];
const web = hostNamed('1', 'trusted', { role: 'web', site: 'berlin' });
const db = hostNamed('2', 'trusted', { role: 'db' });

test('a host that no group matches is judged by nothing', async () => {
  const { policies, apply } = await policyWorld();
  assert.equal(policies.policyFor(web), undefined);
  await apply([setManifest(), policyManifest(), groupManifest({ labels: { role: 'd?' } })]);
  assert.equal(policies.policyFor(web), undefined);
  assert.equal(policies.policyFor(db)?.policy.policy.name, 'uki-fleet');
});

test('of several groups the highest priority counts, then the first by name', async () => {
  const { policies, apply } = await policyWorld();
  const group = (name: string, priority: number, labels = {}) => groupManifest({ name, priority, labels });
  await apply([
    ...[setManifest(), policyManifest(), group('all', 0), group('b', 5, { role: 'web' })],
    ...[group('a', 5, { role: 'web' }), group('berlin', 9, { role: 'web', site: 'ber*' })],
  ]);
  const groupOf = (labels: Record<string, string>) => policies.policyFor({ id: 'x', labels })?.group.name;
  assert.equal(groupOf({ role: 'web', site: 'berlin' }), 'berlin');
  assert.equal(groupOf({ role: 'web', site: 'bonn' }), 'a');
  assert.equal(groupOf({ role: 'web' }), 'a');
  assert.equal(groupOf({ site: 'berlin' }), 'all');
});

test('a label that a host does not have is matched by no glob', async () => {
  const { policies, apply } = await policyWorld();
  await apply([setManifest(), policyManifest(), groupManifest({ labels: { role: '**', toString: '**' } })]);
  assert.equal(policies.policyFor(web), undefined);
});

test('the answer is the same object until something that matters is published', async () => {
  const { policies, apply } = await policyWorld();
  await apply(fleet);
  const before = policies.policyFor(web);
  await apply([setManifest({ name: 'other' })]);
  assert.equal(policies.policyFor({ ...web, labels: { ...web.labels } }), before);
  await apply([setManifest({ description: 'new' })]);
  const after = policies.policyFor(web);
  assert.notEqual(after, before);
  assert.notEqual(after?.policy.id, before?.policy.id);
  assert.equal(after?.policy.references[0]?.description, 'new');
});

test('two groups of one policy share it as one object', async () => {
  const { policies, apply } = await policyWorld();
  await apply([...fleet, groupManifest({ name: 'web', priority: 1, labels: { role: 'web' } })]);
  assert.notEqual(policies.policyFor(web), policies.policyFor(db));
  assert.equal(policies.policyFor(web)?.policy, policies.policyFor(db)?.policy);
});

test('listeners are told when a host may be judged otherwise, and only then', async () => {
  const { policies, apply } = await policyWorld();
  let told = 0;
  const stop = policies.onChange(() => {
    told += 1;
  });
  await apply([setManifest(), policyManifest()]);
  assert.equal(told, 0);
  await apply([groupManifest()]);
  assert.equal(told, 1);
  await apply(fleet);
  assert.equal(told, 1);
  stop();
  await apply([setManifest({ description: 'new' })]);
  assert.equal(told, 1);
});

test('listeners are told at the moment when a window begins or ends, by one timer', async () => {
  const { policies, apply, clock } = await policyWorld();
  const at = (ms: number) => new Date(clock.now() + ms).toISOString();
  const times: number[] = [];
  const start = clock.now();
  policies.onChange(() => times.push(clock.now() - start));
  await apply([
    setManifest(),
    policyManifest({ acceptNext: [{ references: ['uki'], from: at(1000), until: at(5000) }] }),
    groupManifest({ maintenance: [{ from: at(2000), until: at(3000) }] }),
  ]);
  assert.equal(clock.timers, 1);
  clock.advance(10_000);
  assert.deepEqual(times, [0, 1000, 2000, 3000, 5000]);
  assert.equal(clock.timers, 0);
});

test('a book that is disposed of waits for nothing', async () => {
  const { policies, apply, clock } = await policyWorld();
  const until = new Date(clock.now() + 1000).toISOString();
  const from = new Date(clock.now() - 1000).toISOString();
  await apply([setManifest(), policyManifest(), groupManifest({ maintenance: [{ from, until }] })]);
  assert.equal(clock.timers, 1);
  policies[Symbol.dispose]();
  assert.equal(clock.timers, 0);
  await apply([groupManifest()]);
  assert.equal(policies.policyFor(web)?.group.maintenance.length, 1);
});

test('a book that is opened later has the same, old versions that something names included', async () => {
  const first = await policyWorld();
  await first.apply([setManifest()]);
  const [old] = first.policies.shelf.heads.values();
  await first.apply([setManifest({ description: 'new' })]);
  await first.apply([policyManifest({ references: [`uki@${old}`] }), groupManifest()]);
  const second = await policyWorld({ store: first.store });
  assert.deepEqual(second.policies.policyFor(web), first.policies.policyFor(web));
  assert.equal(second.policies.policyFor(web)?.policy.references[0]?.description, '');
  assert.deepEqual(second.policies.shelf, first.policies.shelf);
});

test('versions that nothing reaches any more leave the memory, not the store', async () => {
  const { policies, apply, store } = await policyWorld();
  for (const description of ['1', '2', '3']) await apply([setManifest({ description })]);
  assert.equal(policies.shelf.versions.size, 1);
  assert.equal((await store.list('measure_object')).length, 3);
});

test('a policy as it was resolved once can be had again by its id', async () => {
  const { policies, apply } = await policyWorld();
  await apply(fleet);
  const before = policies.policyFor(web)?.policy;
  assert.ok(before);
  assert.equal(await policies.resolved(before.id), before);
  await apply([setManifest({ description: 'new' }), policyManifest({ mode: 'report' })]);
  assert.deepEqual(await policies.resolved(before.id), before);
  assert.equal(await policies.resolved('00'.repeat(32)), undefined);
});

test('a store that names what it does not hold is refused at the start', async () => {
  const { store, apply } = await policyWorld();
  await apply(fleet);
  await store.commit([{ kind: 'measure_head', key: 'ReferenceSet/uki', deleted: true }]);
  await rejectsCode(
    'reference_missing',
    /names the reference set uki, which does not exist$/,
    policyWorld({ store }),
  );
});

test('a head from elsewhere that cannot be resolved leaves the last good word in force', async () => {
  const { store, apply, policies, lines } = await policyWorld();
  await apply(fleet);
  const before = policies.policyFor(web);
  await store.commit([{ kind: 'measure_head', key: 'ReferenceSet/uki', deleted: true }]);
  assert.equal(policies.policyFor(web), before);
  assert.match(lines.join('\n'), /cannot be resolved; those before stay in force/);
});
