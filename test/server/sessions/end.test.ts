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

describe('a session ends', () => {
  async function ended(session: { ended: Promise<unknown> }): Promise<never> {
    throw await session.ended;
  }

  it('without a hello', async () => {
    await using world = await sessionWorld();
    const silent = world.open({ hello: null });
    await world.clock.pass(10_001);
    await rejectsCode('session_hello_missing', /^no hello came within 10 seconds$/, ended(silent));
    const rude = world.open({ hello: null });
    await rude.beat();
    await rejectsCode('session_hello_missing', /first message of a session is not hello$/, ended(rude));
    assert.equal(world.sessions.count, 0);
  });

  it('at a second hello', async () => {
    await using world = await sessionWorld();
    const session = world.open();
    await session.say({ case: 'hello', value: {} as never });
    await rejectsCode('session_hello_missing', /^hello came a second time$/, ended(session));
  });

  it('after three missed heartbeats, and is answered until then', async () => {
    await using world = await sessionWorld();
    const session = world.open();
    await settle();
    session.take('heartbeat');
    for (let beat = 0; beat < 5; beat += 1) {
      await world.clock.pass(20_000);
      await session.beat();
    }
    assert.deepEqual(
      session.take('heartbeat').map(({ serverTime }) => serverTime > 0n),
      [true, true, true, true, true],
    );
    await world.clock.pass(59_999);
    assert.equal(world.sessions.isLive(tpmNode), true);
    await world.clock.pass(1);
    await rejectsCode('session_silent', /was silent for 60 seconds$/, ended(session));
    assert.equal(world.sessions.isLive(tpmNode), false);
  });

  it('with the node SVID that opened it, however alive', async () => {
    await using world = await sessionWorld();
    const session = world.open({ svidExpiresAt: Math.floor(world.clock.now() / 1000) + 100 });
    await settle();
    for (let beat = 0; beat < 5; beat += 1) {
      await session.beat();
      await world.clock.pass(20_000);
    }
    await rejectsCode('session_svid_ended', /has ended$/, ended(session));
    assert.equal(world.sessions.isLive(tpmNode), false);
  });

  it('when the node attested again', async () => {
    await using world = await sessionWorld();
    const session = world.open();
    await settle();
    await world.changeNode({ serial: '02', attestationNumber: 2 });
    await rejectsCode('session_svid_ended', /newer SVID .* took the place of 01$/, ended(session));
    assert.equal(world.sessions.isLive(tpmNode), false);
  });

  it('when a renewed SVID was presented, and not before', async () => {
    await using world = await sessionWorld();
    const session = world.open();
    await settle();
    await world.changeNode({ nextSerial: '02' });
    assert.equal(session.over, false);
    await world.changeNode({ serial: '02', nextSerial: '' });
    await rejectsCode('session_svid_ended', /took the place/, ended(session));
  });

  it('when the node is banned, after everything was taken back', async () => {
    await using world = await sessionWorld();
    await world.put(mine('a'));
    const session = world.open();
    await settle();
    session.received.length = 0;
    await world.hosts.banNode(tpmNode, 'uid 0');
    await rejectsCode('agent_banned', /is banned$/, ended(session));
    assert.equal(session.received.at(-1)?.message.case, 'withdraw');
    assert.deepEqual(
      session.take('withdraw')[0]?.reasons.map(({ code }) => code),
      ['banned'],
    );
    await rejectsCode('agent_banned', /is banned$/, ended(world.open()));
  });

  it('when the node is evicted', async () => {
    await using world = await sessionWorld();
    const session = world.open();
    await settle();
    await world.store.commit([{ kind: 'node', key: tpmNode, deleted: true }]);
    await rejectsCode('agent_not_attested', /is not attested$/, ended(session));
  });

  it('in order when the agent half-closes, and leaves nothing behind', async () => {
    await using world = await sessionWorld();
    const session = world.open();
    await settle();
    await session.close();
    assert.equal(await session.ended, 'done');
    assert.deepEqual(
      [world.sessions.count, world.sessions.isLive(tpmNode), world.clock.timers],
      [0, false, 0],
    );
  });

  it('when its connection breaks, and leaves nothing behind', async () => {
    await using world = await sessionWorld();
    const session = world.open();
    await settle();
    await session.abort();
    assert.deepEqual([session.over, world.sessions.count, world.clock.timers], [true, 0, 0]);
  });

  it('when the agent floods it', async () => {
    await using world = await sessionWorld();
    const session = world.open();
    for (let count = 0; count < 101; count += 1) void session.say({ case: 'heartbeat', value: {} as never });
    await settle();
    await rejectsCode('session_flooded', /more messages than a session needs$/, ended(session));
  });

  it('when a node that is not in force opens it', async () => {
    await using world = await sessionWorld();
    await rejectsCode('session_svid_ended', /took the place of 99$/, ended(world.open({ serial: '99' })));
    const nodeId = makeSpiffeId(domain, '/spire/agent/tpm/none');
    await rejectsCode('agent_not_attested', /is not attested$/, ended(world.open({ nodeId })));
  });
});
