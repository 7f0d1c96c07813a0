import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPrivileged } from '../../../src/server/access/privileged.js';
import type { Node } from '../../../src/server/model.js';
import { createNodeLifecycle, isTokenAlias, nodeInForce } from '../../../src/server/nodes/lifecycle.js';
import { openRegistry } from '../../../src/server/registry/registry.js';
import { parseSpiffeId, parseTrustDomain } from '../../../src/spiffe/id.js';
import { makeEntry } from '../../fakes/entries.js';
import { manualClock } from '../../fakes/manual-clock.js';
import { memoryDatastore } from '../../fakes/memory-datastore.js';
import { throwsCode } from '../../support/rejects.js';

const id = parseSpiffeId('spiffe://example.org/spire/agent/join_token/t');

async function open(change: Partial<Node> = {}) {
  const store = memoryDatastore();
  const registry = await openRegistry(store, parseTrustDomain('example.org'));
  const node: Node = {
    ...{ id, attestationType: 'join_token', selectors: [], serial: 'a', nextSerial: '', svidExpiresAt: 100 },
    ...{ canReattest: false, banned: false, agentVersion: '', attestationNumber: 1 },
    ...change,
  };
  await store.commit([{ kind: 'node', key: id, value: node }]);
  return { store, registry, nodes: createNodeLifecycle(store, registry) };
}

const svid = (serial: string) => ({ id, serial, expiresAt: 100, tainted: false, withdrawn: false });

test('the serial in force and the renewed one are let in, the second to be promoted; any other is not', async () => {
  const { registry } = await open({ nextSerial: 'b' });
  assert.equal(nodeInForce(registry, svid('a')).promote, false);
  assert.equal(nodeInForce(registry, svid('b')).promote, true);
  throwsCode('agent_not_active', /newer SVID than the one with serial c/, () =>
    nodeInForce(registry, svid('c')),
  );
});

test('an empty serial is never in force, not even where the record has none', async () => {
  const { registry } = await open({ serial: '', nextSerial: '', banned: true });
  throwsCode('agent_banned', /is banned/, () => nodeInForce(registry, svid('')));
});

test('promoting twice at once promotes once, and a serial that was replaced meanwhile is not brought back', async () => {
  const { store, registry, nodes } = await open({ nextSerial: 'b' });
  await Promise.all([nodes.promote(id, 'b'), nodes.promote(id, 'b')]);
  assert.deepEqual([registry.node(id)?.serial, registry.node(id)?.nextSerial], ['b', '']);
  const { revision } = store;
  await nodes.promote(id, 'a');
  assert.equal(registry.node(id)?.serial, 'b');
  assert.equal(store.revision, revision, 'nothing was written');
});

test('a renewal that raced an attestation or a ban comes to nothing', async () => {
  const { nodes, registry } = await open({ attestationNumber: 2 });
  await assert.rejects(nodes.renewed(id, 1, 'c', 200), {
    code: 'agent_not_active',
    message: /attested again/,
  });
  assert.equal(registry.node(id)?.nextSerial, '');
  await nodes.ban(id);
  await assert.rejects(nodes.renewed(id, 2, 'c', 200), { code: 'agent_banned' });
  assert.deepEqual([registry.node(id)?.serial, registry.node(id)?.banned], ['', true]);
});

test('eviction takes the alias of the token along, and nothing else below the node', async () => {
  const { store, nodes, registry } = await open();
  const alias = { ...makeEntry('alias', { parentId: id }), selectors: [{ type: 'spiffe_id', value: id }] };
  const other = makeEntry('other', { parentId: id });
  await store.commit([
    { kind: 'entry', key: 'alias', value: alias },
    { kind: 'entry', key: 'other', value: other },
  ]);
  assert.deepEqual([isTokenAlias(alias), isTokenAlias(other)], [true, false]);
  await nodes.evict(id);
  assert.deepEqual([registry.node(id), registry.entry('alias')], [undefined, undefined]);
  assert.ok(registry.entry('other') !== undefined);
  await assert.rejects(nodes.evict(id), { code: 'agent_not_found' });
});

test('the same version posted twice is written once', async () => {
  const { nodes, store } = await open();
  await nodes.setVersion(id, '1');
  const { revision } = store;
  await nodes.setVersion(id, '1');
  assert.equal(store.revision, revision);
});

test('who is privileged follows the entries at once, and ends with them', async () => {
  const { store, registry } = await open();
  const clock = manualClock();
  const privileged = createPrivileged(registry, clock);
  const boss = parseSpiffeId('spiffe://example.org/boss');
  assert.equal(privileged.isAdmin(boss), false);
  const put = (value: ReturnType<typeof makeEntry>) =>
    store.commit([{ kind: 'entry', key: value.id, value }]);
  await put(makeEntry('e', { spiffeId: boss, admin: true }));
  assert.equal(privileged.isAdmin(boss), true);
  assert.deepEqual(privileged.downstreamEntries(boss), []);
  const end = Math.floor(clock.now() / 1000) + 10;
  await put(makeEntry('e', { spiffeId: boss, downstream: true, expiresAt: end }));
  assert.equal(privileged.isAdmin(boss), false);
  assert.equal(privileged.downstreamEntries(boss).length, 1);
  clock.advance(10_000);
  assert.equal(privileged.downstreamEntries(boss).length, 0);
  await put(makeEntry('e', { spiffeId: boss, admin: true }));
  await store.commit([{ kind: 'entry', key: 'e', deleted: true }]);
  assert.equal(privileged.isAdmin(boss), false);
  const late = createPrivileged(registry, clock);
  assert.equal(late.isAdmin(boss), false);
  late[Symbol.dispose]();
});
