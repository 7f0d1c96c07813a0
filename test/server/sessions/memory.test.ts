import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RegistryChange } from '../../../src/server/contract.js';
import type { Node } from '../../../src/server/model.js';
import { sessionTimes } from '../../../src/server/sessions/contract.js';
import {
  deltaOf,
  entriesMessages,
  federatedDomains,
  isEmpty,
  sizeOf,
} from '../../../src/server/sessions/entries.js';
import { changesSets, createSessionMemory } from '../../../src/server/sessions/memory.js';
import { overlapFrom, overlapHeard } from '../../../src/server/sessions/overlap.js';
import { makeSpiffeId, parseTrustDomain } from '../../../src/spiffe/id.js';
import { domain } from '../../fakes/attest-world.js';
import { entryOf } from '../../support/entries.js';

const one = makeSpiffeId(domain, '/spire/agent/tpm/one');
const two = makeSpiffeId(domain, '/spire/agent/tpm/two');
const a = entryOf('a');
const b = entryOf('b');
const set = (...entries: readonly (typeof a)[]) => new Map(entries.map((entry) => [entry.id, entry]));

function change(revision: number, parts: Partial<RegistryChange> = {}): RegistryChange {
  return { revision, entries: [], nodes: [], hosts: [], bundles: [], ...parts };
}

function nodeOf(selectors: Node['selectors']): Node {
  return {
    ...{ id: one, attestationType: 'tpm', selectors, serial: '01', nextSerial: '', svidExpiresAt: 0 },
    ...{ canReattest: true, banned: false, agentVersion: '', attestationNumber: 1 },
  };
}

describe('what is remembered of agents that went away', () => {
  it('proves that nothing changed without remembering anything', () => {
    const memory = createSessionMemory('e', 10, 100);
    assert.deepEqual(memory.resume(one, { epoch: 'e', revision: 10 }, set(a)), [a]);
    assert.equal(memory.resume(one, { epoch: 'e', revision: 9 }, set(a)), undefined);
    memory.note(change(11));
    assert.deepEqual(memory.resume(one, { epoch: 'e', revision: 10 }, set(a)), [a]);
    memory.note(change(12, { entries: [{ after: b }] }));
    assert.equal(memory.resume(one, { epoch: 'e', revision: 10 }, set(a)), undefined);
  });

  it('gives back what was last sent at exactly that revision', () => {
    const memory = createSessionMemory('e', 10, 100);
    memory.note(change(12, { entries: [{ after: b }] }));
    memory.remember(one, 11, [a]);
    assert.deepEqual(memory.resume(one, { epoch: 'e', revision: 11 }, set(a, b)), [a]);
    assert.equal(memory.resume(one, { epoch: 'e', revision: 10 }, set(a, b)), undefined);
    assert.equal(memory.resume(two, { epoch: 'e', revision: 11 }, set(a, b)), undefined);
    assert.equal(memory.resume(one, { epoch: 'f', revision: 11 }, set(a, b)), undefined);
    assert.equal(memory.resume(one, { epoch: 'e', revision: 13 }, set(a, b)), undefined);
  });

  it('is bounded: the oldest goes first', () => {
    const memory = createSessionMemory('e', 10, 3);
    memory.note(change(12, { entries: [{ after: b }] }));
    memory.remember(one, 11, [a]);
    memory.remember(two, 11, [a]);
    assert.equal(memory.size, 2);
    assert.equal(memory.resume(one, { epoch: 'e', revision: 11 }, set()), undefined);
    assert.deepEqual(memory.resume(two, { epoch: 'e', revision: 11 }, set()), [a]);
    memory.remember(two, 12, [a]);
    assert.equal(memory.size, 2);
  });

  it('knows which changes of nodes move sets', () => {
    const selectors = [{ type: 'host', value: 'label:a:b' }];
    assert.equal(changesSets({ before: nodeOf(selectors), after: nodeOf([...selectors]) }), false);
    assert.equal(changesSets({ before: nodeOf(selectors), after: nodeOf([]) }), true);
    assert.equal(changesSets({ after: nodeOf([]) }), true);
    assert.equal(changesSets({ before: nodeOf([]) }), false);
  });
});

describe('the delta of a set', () => {
  it('holds what is new, what changed and what is gone', () => {
    const changed = entryOf('a', undefined, { revisionNumber: 1 });
    const delta = deltaOf([a, b], set(changed, entryOf('c')));
    assert.deepEqual(
      [delta.full, delta.upserts.map(({ id }) => id), delta.removed],
      [false, ['a', 'c'], ['b']],
    );
    assert.equal(isEmpty(deltaOf([a, b], set(a, b))), true);
    assert.equal(isEmpty(deltaOf(undefined, set())), false);
  });

  it('says full with its first message only, and more with all but the last', () => {
    const delta = { full: true, upserts: [a, b, entryOf('c')], removed: [] };
    const messages = [...entriesMessages(delta, { epoch: 'e', revision: 3 }, sizeOf(a))];
    const values = messages.flatMap(({ message }) => (message.case === 'entries' ? [message.value] : []));
    assert.deepEqual(
      values.map(({ full, more, upserts }) => [full, more, upserts.length]),
      [
        [true, true, 1],
        [false, true, 1],
        [false, false, 1],
      ],
    );
    assert.ok(values.every(({ epoch, revision }) => epoch === 'e' && revision === 3n));
  });

  it('names the foreign domains once each, sorted', () => {
    const federatesWith = ['b.example', 'a.example'].map(parseTrustDomain);
    assert.deepEqual(federatedDomains([entryOf('x', undefined, { federatesWith }), a]), [
      'a.example',
      'b.example',
    ]);
  });
});

describe('two streams of one node', () => {
  it('prove two agents only by going on talking', () => {
    const half = sessionTimes.heartbeatMs / 2;
    const first = overlapHeard(overlapFrom(1000), 2000);
    assert.equal(first.proved, false);
    assert.equal(overlapHeard(first.overlap, 2000 + half - 1).proved, false);
    assert.equal(overlapHeard(first.overlap, 2000 + half).proved, true);
  });
});
