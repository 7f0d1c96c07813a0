import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Entry } from '../../../src/spiffe/entry.js';
import { makeSpiffeId } from '../../../src/spiffe/id.js';
import { HostState } from '../../../src/wire/gen/touchmark/host/v1/state_pb.js';
import { domain } from '../../fakes/attest-world.js';
import { settle } from '../../fakes/manual-clock.js';
import { applied, hostId, sessionWorld, tpmNode } from '../../fakes/session-world.js';
import { entryOf } from '../../support/entries.js';

const hour = 3_600_000;

function mine(id: string, changes: Partial<Entry> = {}): Entry {
  return entryOf(id, ['unix:uid:1000'], {
    parentId: tpmNode,
    spiffeId: makeSpiffeId(domain, `/w/${id}`),
    ...changes,
  });
}

describe('a stuck reader', () => {
  it('has one delta waiting for it, however much changes meanwhile', async () => {
    await using world = await sessionWorld();
    const session = world.open();
    await settle();
    session.pause(true);
    await world.put(mine('e0'));
    session.received.length = 0;
    for (let round = 1; round <= 200; round += 1) {
      await world.store.commit([{ kind: 'entry', key: 'e', value: mine('e', { revisionNumber: round }) }]);
    }
    session.pause(false);
    await settle();
    const messages = session.take('entries');
    assert.equal(messages.length, 1);
    assert.deepEqual(
      messages[0]?.upserts.map(({ revisionNumber }) => revisionNumber),
      [200n],
    );
  });
});

describe('the standing of a host in its session', () => {
  it('a quarantine takes everything back at once, and a release gives it again', async () => {
    await using world = await sessionWorld();
    await world.put(mine('a'));
    const session = world.open();
    await settle();
    session.received.length = 0;
    await world.hosts.quarantine(hostId, 'odd noises', 'uid 0');
    await settle();
    assert.deepEqual(
      session.received.map(({ message }) => message.case),
      ['verdict', 'withdraw'],
    );
    assert.match(session.take('withdraw')[0]?.reasons[0]?.message ?? '', /set it aside: odd noises$/);
    await world.put(mine('b'));
    assert.deepEqual(session.take('entries'), []);
    await world.hosts.release(hostId, 'uid 0');
    await settle();
    const cases = session.received.map(({ message }) => message.case);
    assert.deepEqual(cases, ['verdict', 'bundles', 'entries']);
    assert.deepEqual(
      session.take('entries').map(({ full, upserts }) => [full, upserts.length]),
      [[true, 2]],
    );
  });

  it('gives no entries to a host that opens a session in quarantine', async () => {
    await using world = await sessionWorld();
    await world.put(mine('a'));
    await world.hosts.quarantine(hostId, '', 'uid 0');
    const session = world.open();
    await settle();
    assert.deepEqual(
      session.received.map(({ message }) => message.case),
      ['verdict', 'withdraw'],
    );
  });

  it('tells a suspect host until when, and when that is over', async () => {
    await using world = await sessionWorld();
    const session = world.open({ svidExpiresAt: world.clock.now() / 1000 + 100_000 });
    await settle();
    session.received.length = 0;
    await world.hosts.suspect(hostId, [{ code: 'cloned-or-cleared', message: 'a test' }]);
    await settle();
    const [verdict] = session.take('verdict');
    assert.deepEqual([verdict?.state, verdict?.reasons[0]?.code], [HostState.SUSPECT, 'cloned-or-cleared']);
    assert.equal(verdict?.graceEndsAt, BigInt(Math.ceil((world.clock.now() + hour) / 1000)));
    for (let beat = 0; beat < 180; beat += 1) {
      world.clock.advance(20_000);
      await session.beat();
    }
    await world.put(mine('late'));
    assert.deepEqual(session.take('entries'), []);
  });
});

describe('two sessions of one node', () => {
  it('the newer takes the place of one that fell silent, and nobody is suspected', async () => {
    await using world = await sessionWorld();
    const old = world.open();
    await settle();
    const fresh = world.open();
    await settle();
    // What was under way on the broken connection arrives late, and in one burst.
    await old.beat();
    await old.beat();
    await world.put(mine('a'));
    assert.equal(applied(fresh.take('entries')).size, 1);
    assert.equal(old.take('entries').filter(({ upserts }) => upserts.length > 0).length, 0);
    for (let beat = 0; beat < 4; beat += 1) {
      await world.clock.pass(20_000);
      await fresh.beat();
    }
    assert.equal(old.over, true);
    assert.equal(world.sessions.isLive(tpmNode), true);
    assert.deepEqual(world.events, []);
    assert.equal(world.registry.host(hostId)?.state, 'unmeasured');
  });

  it('two that both go on talking make the host suspect', async () => {
    await using world = await sessionWorld();
    const one = world.open({ address: '192.0.2.1' });
    await settle();
    const two = world.open({ address: '192.0.2.2' });
    await settle();
    for (let beat = 0; beat < 2; beat += 1) {
      await world.clock.pass(10_000);
      await one.beat();
      await two.beat();
    }
    assert.equal(world.registry.host(hostId)?.state, 'suspect');
    assert.equal(world.registry.host(hostId)?.reasons[0]?.code, 'cloned-or-cleared');
    assert.deepEqual(world.events[0], {
      name: 'node_seen_twice',
      nodeId: tpmNode,
      addresses: ['192.0.2.1', '192.0.2.2'],
    });
    assert.equal(one.over, true);
    assert.equal(two.over, false);
  });

  it('keeps a bounded number of what is left of broken connections', async () => {
    await using world = await sessionWorld();
    const sessions = [];
    for (let count = 0; count < 10; count += 1) {
      sessions.push(world.open());
      await settle();
    }
    assert.equal(world.sessions.count, 4);
    assert.equal(sessions.filter(({ over }) => !over).length, 4);
  });
});
