import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Entry } from '../../../src/spiffe/entry.js';
import { makeSpiffeId } from '../../../src/spiffe/id.js';
import { HostState } from '../../../src/wire/gen/touchmark/host/v1/state_pb.js';
import { domain } from '../../fakes/attest-world.js';
import { settle } from '../../fakes/manual-clock.js';
import { applied, bundleOf, hostId, sessionWorld, tpmNode } from '../../fakes/session-world.js';
import { entryOf } from '../../support/entries.js';

function mine(id: string, changes: Partial<Entry> = {}): Entry {
  return entryOf(id, ['unix:uid:1000'], {
    parentId: tpmNode,
    spiffeId: makeSpiffeId(domain, `/w/${id}`),
    ...changes,
  });
}

describe('a session', () => {
  it('begins with the verdict, the bundle and the whole set', async () => {
    await using world = await sessionWorld();
    await world.put(mine('a'), mine('b'));
    const session = world.open();
    await settle();
    assert.deepEqual(
      session.received.map(({ message }) => message.case),
      ['verdict', 'bundles', 'entries'],
    );
    const [entries] = session.take('entries');
    assert.deepEqual([entries?.full, entries?.epoch, entries?.more], [true, world.store.epoch, false]);
    assert.equal(entries?.revision, BigInt(world.registry.revision));
    assert.deepEqual(entries?.upserts.map(({ id }) => id).sort(), ['a', 'b']);
  });

  it('says the state and when to attest again', async () => {
    await using world = await sessionWorld();
    const session = world.open();
    await settle();
    const [verdict] = session.take('verdict');
    assert.equal(verdict?.state, HostState.UNMEASURED);
    assert.equal(verdict?.reattestAt, BigInt(Math.floor(world.clock.now() / 1000) + 1800));
  });

  it('pushes what was created, changed and deleted, and nothing else', async () => {
    await using world = await sessionWorld();
    await world.put(mine('a'), mine('b'));
    const session = world.open();
    await settle();
    let held = applied(session.take('entries'));
    await world.put(mine('c'), mine('a', { revisionNumber: 1 }));
    const [change] = session.take('entries');
    assert.deepEqual(
      [change?.full, change?.upserts.map(({ id }) => id).sort(), change?.removed],
      [false, ['a', 'c'], []],
    );
    held = applied(change === undefined ? [] : [change], held);
    await world.remove(mine('b'));
    const [removal] = session.take('entries');
    assert.deepEqual([removal?.upserts, removal?.removed], [[], ['b']]);
    held = applied(removal === undefined ? [] : [removal], held);
    assert.deepEqual([...held].sort(), [
      ['a', 1n],
      ['c', 0n],
    ]);
  });

  it('sends a node nothing when entries of others change', async () => {
    await using world = await sessionWorld();
    const session = world.open();
    await settle();
    const before = world.sent;
    const other = makeSpiffeId(domain, '/spire/agent/tpm/other');
    for (let round = 0; round < 20; round += 1) await world.put(mine(`x${round}`, { parentId: other }));
    assert.equal(world.sent, before);
    assert.equal(session.over, false);
  });

  it('follows the labels of its host', async () => {
    await using world = await sessionWorld();
    const server = makeSpiffeId(domain, '/spire/server');
    const group = makeSpiffeId(domain, '/group/north');
    await world.put(
      entryOf('alias', ['host:label:site:north'], { parentId: server, spiffeId: group }),
      mine('n', { parentId: group }),
    );
    const session = world.open();
    await settle();
    assert.deepEqual(applied(session.take('entries')).size, 0);
    await world.hosts.set(hostId, { labels: { site: 'north' }, removeLabels: [] }, 'uid 0');
    await settle();
    assert.ok(applied(session.take('entries')).has('n'));
    await world.hosts.set(hostId, { labels: {}, removeLabels: ['site'] }, 'uid 0');
    await settle();
    assert.deepEqual(
      session
        .take('entries')
        .flatMap(({ removed }) => removed)
        .sort(),
      ['n'],
    );
  });

  it('splits what is large into messages of less than 1 MiB, of which only the last is not followed', async () => {
    await using world = await sessionWorld();
    const many = Array.from({ length: 3000 }, (_, at) => mine(`e${at}`, { hint: 'h'.repeat(500) }));
    await world.put(...many);
    const session = world.open();
    await settle();
    const messages = session.take('entries');
    assert.ok(messages.length > 2);
    assert.deepEqual(
      messages.map(({ more }) => more),
      messages.map((_, at) => at < messages.length - 1),
    );
    assert.deepEqual(messages.map(({ full }) => full).filter(Boolean), [true]);
    assert.equal(applied(messages).size, 3000);
    const { toBinary } = await import('@bufbuild/protobuf');
    const { EntriesSchema } = await import('../../../src/wire/gen/touchmark/session/v1/session_pb.js');
    for (const message of messages) assert.ok(toBinary(EntriesSchema, message).length < 1024 * 1024);
  });

  it('brings an agent to the same set as a full answer, whatever happens in between', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom('put', 'remove', 'reconnect'), fc.nat({ max: 5 })), {
          maxLength: 25,
        }),
        async (steps) => {
          await using world = await sessionWorld();
          let session = world.open();
          let held = new Map<string, bigint>();
          let at = { revision: 0n, epoch: '' };
          const take = () => {
            const messages = session.take('entries');
            held = applied(messages, held);
            const last = messages.at(-1);
            if (last !== undefined) at = { revision: last.revision, epoch: last.epoch };
          };
          let version = 0;
          for (const [what, which] of steps) {
            version += 1;
            if (what === 'put') await world.put(mine(`e${which}`, { revisionNumber: version }));
            else if (what === 'remove') await world.remove(mine(`e${which}`));
            else {
              await settle();
              take();
              await session.abort();
              await world.put(mine(`e${which}`, { revisionNumber: version }));
              session = world.open({ hello: at });
            }
            await settle();
            take();
          }
          await settle();
          take();
          const expected = [...world.registry.authorizedEntries(tpmNode).values()];
          assert.deepEqual(
            [...held].sort(),
            expected.map(({ id, revisionNumber }) => [id, BigInt(revisionNumber)]).sort(),
          );
        },
      ),
      { numRuns: 12 },
    );
  });

  it('carries the bundles of the domains that its entries name, before these entries', async () => {
    await using world = await sessionWorld();
    world.setBundle(bundleOf('partner.example', 7n));
    const session = world.open();
    await settle();
    const federated = (list: { federated: { trustDomain: string }[] }[]) =>
      list.map((bundles) => bundles.federated.map(({ trustDomain }) => trustDomain));
    assert.deepEqual(federated(session.take('bundles')), [[]]);
    await world.put(mine('f', { federatesWith: [bundleOf('partner.example', 7n).trustDomain] }));
    assert.deepEqual(
      session.received.map(({ message }) => message.case),
      ['bundles', 'entries'],
    );
    assert.deepEqual(federated(session.take('bundles')), [['partner.example']]);
    world.setBundle(bundleOf('partner.example', 8n));
    await settle();
    assert.equal(session.take('bundles')[0]?.federated[0]?.sequenceNumber, 8n);
    world.setBundle(bundleOf('stranger.example', 1n));
    await settle();
    assert.deepEqual(session.take('bundles'), []);
    world.setBundle(bundleOf(domain, 2n));
    await settle();
    assert.equal(session.take('bundles')[0]?.own?.sequenceNumber, 2n);
  });
});
