import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { RegistryChange } from '../../../src/server/contract.js';
import { openRegistry } from '../../../src/server/registry/registry.js';
import { memoryDatastore } from '../../fakes/memory-datastore.js';
import {
  agent,
  authorized,
  domain,
  entry,
  host,
  id,
  node,
  putEntry,
  putNode,
  registryWith,
} from './world.js';

describe('the registry', () => {
  test('has what was stored before it was opened, however many pages that fills', async () => {
    const many = Array.from({ length: 4500 }, (_, i) => putEntry(entry(`e${i}`, agent('a'), id(`/w${i}`))));
    const { registry } = await registryWith(...many, putNode(node('a')), {
      kind: 'host',
      key: 'h',
      value: host('h'),
    });
    assert.equal(registry.entryCount, 4500);
    assert.equal([...registry.entries()].length, 4500);
    assert.equal(registry.nodeCount, 1);
    assert.equal(registry.node(agent('a'))?.serial, '01');
    assert.equal(registry.host('h')?.name, 'h');
    assert.equal(registry.revision, 1);
  });

  test('has a commit when the commit resolves', async () => {
    const { store, registry } = await registryWith();
    await store.commit([putEntry(entry('e', agent('a'), id('/w')))]);
    assert.equal(registry.entry('e')?.spiffeId, id('/w'));
    assert.equal(registry.revision, 1);
    await store.commit([{ kind: 'entry', key: 'e', deleted: true }]);
    assert.equal(registry.entry('e'), undefined);
    assert.equal(registry.entryCount, 0);
  });

  test('takes in what is committed while it is being opened', async () => {
    const store = memoryDatastore();
    await store.commit([putEntry(entry('old', agent('a'), id('/old')))]);
    const opening = openRegistry(store, domain);
    await store.commit([
      putEntry(entry('new', agent('a'), id('/new'))),
      { kind: 'entry', key: 'old', deleted: true },
    ]);
    const registry = await opening;
    assert.deepEqual(authorized(registry, agent('a')), ['new']);
    assert.equal(registry.revision, 2);
  });

  test('finds a host by any of its endorsement keys', async () => {
    const { store, registry } = await registryWith(
      { kind: 'host', key: 'h', value: host('h') },
      { kind: 'host_ek', key: 'ek1', value: { hostId: 'h' } },
      { kind: 'host_ek', key: 'ek2', value: { hostId: 'h' } },
    );
    assert.equal(registry.hostByEk('ek1')?.id, 'h');
    assert.equal(registry.hostByEk('ek2')?.id, 'h');
    assert.equal(registry.hostByEk('ek3'), undefined);
    await store.commit([
      { kind: 'host_ek', key: 'ek1', deleted: true },
      { kind: 'host', key: 'h', deleted: true },
    ]);
    assert.equal(registry.hostByEk('ek1'), undefined);
    assert.equal(registry.hostByEk('ek2'), undefined);
    assert.deepEqual([...registry.hosts()], []);
  });

  test('tells what changed, once per record and in both versions', async () => {
    const { store, registry } = await registryWith(putEntry(entry('kept', agent('a'), id('/w'))));
    const told: RegistryChange[] = [];
    const stop = registry.onChange((change) => told.push(change));
    const before = entry('kept', agent('a'), id('/w'));
    const after = { ...before, hint: 'h' };
    await store.commit([
      putEntry({ ...before, hint: 'first' }),
      putEntry(after),
      putEntry(entry('passing', agent('a'), id('/x'))),
      { kind: 'entry', key: 'passing', deleted: true },
      { kind: 'entry', key: 'never', deleted: true },
      putNode(node('a')),
      { kind: 'bundle', key: 'other.org', deleted: true },
      { kind: 'meta', key: 'm', value: { value: '' } },
    ]);
    assert.deepEqual(told, [
      {
        revision: 2,
        entries: [{ before, after }],
        nodes: [{ after: node('a') }],
        hosts: [],
        bundles: ['other.org'],
      },
    ]);
    stop();
    await store.commit([putNode(node('b'))]);
    assert.equal(told.length, 1);
  });

  test('follows the store no longer once it is disposed of', async () => {
    const { store, registry } = await registryWith();
    registry[Symbol.dispose]();
    await store.commit([putNode(node('a'))]);
    assert.equal(registry.nodeCount, 0);
  });
});
