import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Registry } from '../../../src/server/contract.js';
import type { Entry } from '../../../src/spiffe/entry.js';
import type { SpiffeId } from '../../../src/spiffe/id.js';
import { formatSelector } from '../../../src/spiffe/selector.js';
import { agent, authorized, entry, id, node, putEntry, putNode, registryWith, SERVER } from './world.js';

describe('the authorised entries of a node', () => {
  test('are all its descendants, through workloads too', async () => {
    const { registry } = await registryWith(
      putEntry(entry('child', agent('a'), id('/child'))),
      putEntry(entry('grandchild', id('/child'), id('/grandchild'))),
      putEntry(entry('stranger', agent('b'), id('/stranger'))),
    );
    assert.deepEqual(authorized(registry, agent('a')), ['child', 'grandchild']);
    assert.deepEqual(authorized(registry, agent('none')), []);
  });

  test('come through node aliases whose selectors the node has, and the alias itself is not among them', async () => {
    const { store, registry } = await registryWith(
      putNode(node('a', ['tpm:model:x', 'host:label:rack:7'])),
      putEntry(entry('alias', SERVER, id('/rack7'), ['host:label:rack:7'])),
      putEntry(entry('both', SERVER, id('/both'), ['host:label:rack:7', 'tpm:model:y'])),
      putEntry(entry('below', id('/rack7'), id('/below'))),
      putEntry(entry('not', id('/both'), id('/not'))),
    );
    assert.deepEqual(authorized(registry, agent('a')), ['below']);
    await store.commit([putNode(node('a', ['host:label:rack:7', 'tpm:model:y']))]);
    assert.deepEqual(authorized(registry, agent('a')), ['below', 'not']);
    await store.commit([putNode(node('a'))]);
    assert.deepEqual(authorized(registry, agent('a')), []);
  });

  test('of a node that is not known are those below its own ID only', async () => {
    const { registry } = await registryWith(
      putEntry(entry('alias', SERVER, id('/all'), ['a:b'])),
      putEntry(entry('below', id('/all'), id('/below'))),
      putEntry(entry('own', agent('ghost'), id('/own'))),
    );
    assert.deepEqual(authorized(registry, agent('ghost')), ['own']);
  });

  test('end where parents form a circle', async () => {
    const { registry } = await registryWith(
      putEntry(entry('in', agent('a'), id('/one'))),
      putEntry(entry('one', id('/one'), id('/two'))),
      putEntry(entry('two', id('/two'), id('/one'))),
      putEntry(entry('self', id('/self'), id('/self'))),
    );
    assert.deepEqual(authorized(registry, agent('a')), ['in', 'one', 'two']);
    const self = registry.entry('self');
    assert.ok(self);
    assert.equal(registry.isAuthorized(agent('a'), self), false);
    assert.deepEqual([...registry.nodesTouchedBy([self], [agent('a')])], []);
  });

  test('move with an entry that changes its parent or its ID', async () => {
    const { store, registry } = await registryWith(
      putEntry(entry('up', agent('a'), id('/up'))),
      putEntry(entry('down', id('/up'), id('/down'))),
    );
    await store.commit([putEntry(entry('up', agent('a'), id('/elsewhere')))]);
    assert.deepEqual(authorized(registry, agent('a')), ['up']);
    await store.commit([putEntry(entry('down', agent('b'), id('/down')))]);
    assert.deepEqual(authorized(registry, agent('b')), ['down']);
  });

  test('an entry is found above exactly where it is found below, in any forest', async () => {
    const ids = ['/a', '/b', '/c', '/d'].map(id);
    const agents = ['x', 'y'].map(agent);
    const selectors = fc.subarray(['s:1', 's:2', 's:3'], { minLength: 1 });
    const anEntry = fc.tuple(fc.constantFrom(...ids, ...agents, SERVER), fc.constantFrom(...ids), selectors);
    await fc.assert(
      fc.asyncProperty(
        fc.array(anEntry, { maxLength: 10 }),
        selectors,
        selectors,
        async (shape, of1, of2) => {
          const all = shape.map(([parent, spiffe, s], i) => entry(`e${i}`, parent, spiffe, s));
          const { registry } = await registryWith(
            ...all.map(putEntry),
            putNode(node('x', of1)),
            putNode(node('y', of2)),
          );
          for (const who of agents) {
            const below = registry.authorizedEntries(who);
            assert.deepEqual([...below.keys()].sort(), naive(all, who, registry));
            for (const one of all) {
              assert.equal(registry.isAuthorized(who, one), below.has(one.id));
              const touched = registry.nodesTouchedBy([one], new Set(agents)).has(who);
              if (registry.node(who) !== undefined)
                assert.equal(registry.nodesHolding(one).has(who), touched);
              if (below.has(one.id)) assert.ok(touched);
            }
          }
        },
      ),
      { numRuns: 150, seed: 11 },
    );
  });
});

/** The rule of the specification, without an index. */
function naive(all: readonly Entry[], who: SpiffeId, registry: Registry): string[] {
  const held = new Set(registry.node(who)?.selectors.map(formatSelector));
  const parents = new Set<string>([who]);
  for (const one of all) {
    const matches = one.selectors.every((selector) => held.has(formatSelector(selector)));
    if (one.parentId === SERVER && matches) parents.add(one.spiffeId);
  }
  const found = new Set<string>();
  for (let grown = true; grown; ) {
    const size = found.size;
    for (const one of all) {
      if (!parents.has(one.parentId)) continue;
      found.add(one.id);
      parents.add(one.spiffeId);
    }
    grown = found.size > size;
  }
  return [...found].sort();
}

describe('the nodes that a change touches', () => {
  test('are the one above, those with a matching alias above, and nobody else', async () => {
    const { registry } = await registryWith(
      putNode(node('own')),
      putNode(node('racked', ['host:label:rack:7', 'x:y'])),
      putNode(node('other', ['host:label:rack:8'])),
      putEntry(entry('alias', SERVER, id('/rack7'), ['host:label:rack:7'])),
      putEntry(entry('direct', agent('own'), id('/mid'))),
      putEntry(entry('leaf1', id('/mid'), id('/leaf'))),
      putEntry(entry('leaf2', id('/rack7'), id('/mid'))),
    );
    const all = new Set([agent('own'), agent('racked'), agent('other')]);
    const touched = (key: string) => {
      const one = registry.entry(key);
      assert.ok(one);
      return [...registry.nodesTouchedBy([one], all)].sort();
    };
    assert.deepEqual(touched('direct'), [agent('own')]);
    assert.deepEqual(touched('leaf2'), [agent('racked')]);
    assert.deepEqual(touched('leaf1'), [agent('own'), agent('racked')]);
    assert.deepEqual(touched('alias'), [agent('racked')]);
    const leaf = registry.entry('leaf1');
    assert.ok(leaf);
    assert.deepEqual([...registry.nodesTouchedBy([leaf], [agent('racked')])], [agent('racked')]);
  });

  test('are found for an entry that is deleted together with the one above it', async () => {
    const upper = entry('upper', agent('a'), id('/upper'));
    const lower = entry('lower', id('/upper'), id('/lower'));
    const { store, registry } = await registryWith(putNode(node('a')), putEntry(upper), putEntry(lower));
    await store.commit([
      { kind: 'entry', key: 'upper', deleted: true },
      { kind: 'entry', key: 'lower', deleted: true },
    ]);
    assert.deepEqual([...registry.nodesTouchedBy([upper, lower], [agent('a')])], [agent('a')]);
  });
});
