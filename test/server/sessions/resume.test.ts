import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Entry } from '../../../src/spiffe/entry.js';
import { makeSpiffeId } from '../../../src/spiffe/id.js';
import { domain } from '../../fakes/attest-world.js';
import { settle } from '../../fakes/manual-clock.js';
import { sessionWorld, tpmNode } from '../../fakes/session-world.js';
import { entryOf } from '../../support/entries.js';
import { rejectsCode } from '../../support/rejects-async.js';

function mine(id: string, changes: Partial<Entry> = {}): Entry {
  return entryOf(id, ['unix:uid:1000'], {
    parentId: tpmNode,
    spiffeId: makeSpiffeId(domain, `/w/${id}`),
    ...changes,
  });
}

describe('resuming a session', () => {
  it('sends only what changed since the revision that the agent holds', async () => {
    await using world = await sessionWorld();
    await world.put(mine('a'), mine('b'));
    const first = world.open();
    await settle();
    const [whole] = first.take('entries');
    await first.abort();
    await world.put(mine('c'));
    await world.remove(mine('a'));
    const second = world.open({ hello: { revision: whole?.revision ?? 0n, epoch: world.store.epoch } });
    await settle();
    const [delta] = second.take('entries');
    assert.deepEqual(
      [delta?.full, delta?.upserts.map(({ id }) => id), delta?.removed],
      [false, ['c'], ['a']],
    );
  });

  it('sends nothing but the revision when nothing changed, even where nothing is remembered', async () => {
    await using world = await sessionWorld();
    await world.put(mine('a'));
    const revision = BigInt(world.registry.revision);
    const session = world.open({ hello: { revision, epoch: world.store.epoch } });
    await settle();
    const [delta] = session.take('entries');
    assert.deepEqual(
      [delta?.full, delta?.upserts, delta?.removed, delta?.revision],
      [false, [], [], revision],
    );
  });

  for (const [what, hello] of [
    ['of another store', { revision: 2n, epoch: 'another' }],
    ['that lies ahead', { revision: 1_000_000n, epoch: 'memory-epoch' }],
    ['that cannot be proved', { revision: 1n, epoch: 'memory-epoch' }],
    ['of nothing', { revision: 0n, epoch: '' }],
  ] as const) {
    it(`sends the whole set to an agent at a revision ${what}`, async () => {
      await using world = await sessionWorld();
      await world.put(mine('a'));
      const session = world.open({ hello });
      await settle();
      assert.deepEqual(
        session.take('entries').map(({ full, upserts }) => [full, upserts.length]),
        [[true, 1]],
      );
    });
  }

  it('sends everything again when the agent could not use it, but not again and again', async () => {
    await using world = await sessionWorld();
    await world.put(mine('a'));
    const session = world.open();
    await settle();
    session.take('entries');
    const failure = { case: 'failure', value: { code: 'x', message: 'y' } } as never;
    await session.say(failure);
    assert.deepEqual(
      session.take('entries').map(({ full, upserts }) => [full, upserts.length]),
      [[true, 1]],
    );
    await session.say(failure);
    await rejectsCode(
      'session_flooded',
      /again and again$/,
      session.ended.then((error) => Promise.reject(error)),
    );
  });
});
