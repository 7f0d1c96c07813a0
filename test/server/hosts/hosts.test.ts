import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { tpmNodeId } from '../../../src/server/hosts/selectors.js';
import { makeSpiffeId } from '../../../src/spiffe/id.js';
import { formatSelector } from '../../../src/spiffe/selector.js';
import { domain } from '../../fakes/attest-world.js';
import { attestChip, chipWorld, genuine, hashOf } from '../../fakes/chip-world.js';
import { entryOf } from '../../support/entries.js';
import { rejectsCode } from '../../support/rejects-async.js';

const hash = (letter: string) => letter.repeat(64);

describe('allowing hosts', () => {
  it('keeps an allowance until the chip comes, and lists it', async () => {
    await using world = await chipWorld({ enrol: 'allow-list' });
    const allowed = await world.hosts.allow(
      { ekHash: hash('A'), name: 'edge-1', labels: { site: 'n' } },
      'uid 0',
    );
    assert.equal(allowed.id, hash('a'));
    const [listed] = await world.hosts.list();
    assert.ok(listed?.kind === 'allowed');
    assert.deepEqual(listed.allowed, {
      hash: hash('a'),
      name: 'edge-1',
      labels: { site: 'n' },
      allowedBy: 'allow-list by uid 0',
      allowedAt: world.clock.now(),
    });
  });

  it('can be repeated, and updates what is there', async () => {
    await using world = await chipWorld({ enrol: 'allow-list' });
    await world.hosts.allow({ ekHash: hash('a'), name: 'edge-1', labels: {} }, 'uid 0');
    await world.hosts.allow({ ekHash: hash('a'), name: 'edge-1', labels: { k: 'v' } }, 'uid 0');
    const found = await world.hosts.find('edge-1');
    assert.deepEqual(found.kind === 'allowed' && found.allowed.labels, { k: 'v' });
    assert.equal((await world.hosts.list()).length, 1);
  });

  it('of an enrolled chip sets its name and labels', async () => {
    await using world = await chipWorld();
    const chip = genuine();
    await attestChip(world, chip);
    const found = await world.hosts.allow(
      { ekHash: hashOf(chip), name: 'edge-9', labels: { a: 'b' } },
      'uid 0',
    );
    assert.ok(found.kind === 'host');
    assert.deepEqual([found.host.name, found.host.labels], ['edge-9', { a: 'b' }]);
    assert.equal(await world.store.get('allowed_ek', hashOf(chip)), undefined);
  });

  it('refuses what is not a hash, a name or a label, by its value', async () => {
    await using world = await chipWorld();
    const allow = (ekHash: string, name = '', labels = {}) =>
      world.hosts.allow({ ekHash, name, labels }, 'uid 0');
    await rejectsCode('ek_hash_invalid', /^"abc" is not the hash of an endorsement key$/, allow('abc'));
    await rejectsCode('host_name_invalid', /^"a b" is not a name for a host$/, allow(hash('a'), 'a b'));
    await rejectsCode('host_name_invalid', /is not a name for a host$/, allow(hash('a'), hash('b')));
    await rejectsCode(
      'host_label_invalid',
      /^"a:b" is not the key of a label$/,
      allow(hash('a'), '', { 'a:b': 'c' }),
    );
    await rejectsCode(
      'host_label_invalid',
      /^"" is not a value for the label "a"$/,
      allow(hash('a'), '', { a: '' }),
    );
    await rejectsCode('host_label_invalid', /is not a value/, allow(hash('a'), '', { a: 'x\ny' }));
    await rejectsCode('host_label_invalid', /is not a value/, allow(hash('a'), '', { a: '\u202e' }));
    const many = Object.fromEntries(Array.from({ length: 65 }, (_, at) => [`k${at}`, 'v']));
    await rejectsCode(
      'host_label_invalid',
      /^a host has at most 64 labels, not 65$/,
      allow(hash('a'), '', many),
    );
    assert.deepEqual(await world.hosts.list(), []);
  });

  it('gives a name to one host only', async () => {
    await using world = await chipWorld();
    const chip = genuine();
    await attestChip(world, chip);
    await world.hosts.set(hashOf(chip), { name: 'edge-1', labels: {}, removeLabels: [] }, 'uid 0');
    const again = world.hosts.allow({ ekHash: hash('a'), name: 'edge-1', labels: {} }, 'uid 0');
    await rejectsCode('host_name_taken', /^the name "edge-1" belongs to host /, again);
    await world.hosts.allow({ ekHash: hash('a'), name: 'edge-2', labels: {} }, 'uid 0');
    const other = world.hosts.allow({ ekHash: hash('b'), name: 'edge-2', labels: {} }, 'uid 0');
    await rejectsCode('host_name_taken', /belongs to host a{64}$/, other);
  });

  it('approves nothing that does not wait', async () => {
    await using world = await chipWorld({ enrol: 'approval' });
    const approve = (reference: string) => world.hosts.approve(reference, { name: '', labels: {} }, 'uid 0');
    await rejectsCode('approval_unknown', /^no host waits under "ABCD-EFGH"$/, approve('ABCD-EFGH'));
    await rejectsCode('approval_unknown', /^no host waits under /, approve(hash('a')));
  });

  it('approves by the full hash of any key that waits', async () => {
    await using world = await chipWorld({ enrol: 'approval' });
    const chip = genuine({ templates: ['p256-l2', 'rsa2048-l1'] });
    await assert.rejects(attestChip(world, chip));
    await world.hosts.approve(hashOf(chip, 'rsa2048-l1'), { name: 'edge-3', labels: {} }, 'uid 1000');
    await attestChip(world, chip);
    const found = await world.hosts.find('edge-3');
    assert.ok(found.kind === 'host');
    assert.deepEqual([found.id, found.host.enrolledBy], [hashOf(chip), 'approval by uid 1000']);
  });

  it('takes an allowance back', async () => {
    await using world = await chipWorld({ enrol: 'allow-list' });
    const chip = genuine();
    await world.hosts.allow({ ekHash: hashOf(chip), name: 'edge-4', labels: {} }, 'uid 0');
    await world.hosts.deny('edge-4', 'uid 0');
    await rejectsCode('enrolment_refused', /is allowed/, attestChip(world, chip));
    await rejectsCode('host_unknown', /^there is no host "edge-4"$/, world.hosts.deny('edge-4', 'uid 0'));
  });
});

describe('changing hosts', () => {
  it('makes labels selectors of the node at once', async () => {
    await using world = await chipWorld();
    const chip = genuine();
    const { id } = await attestChip(world, chip);
    await world.hosts.set(hashOf(chip), { name: 'x', labels: { a: '1', b: '2' }, removeLabels: [] }, 'uid 0');
    const labels = () =>
      world.registry
        .node(id)
        ?.selectors.map(formatSelector)
        .filter((text) => text.startsWith('host:'));
    assert.deepEqual(labels(), ['host:label:a:1', 'host:label:b:2']);
    await world.hosts.set('x', { labels: { b: '3' }, removeLabels: ['a'] }, 'uid 0');
    assert.deepEqual(labels(), ['host:label:b:3']);
    await attestChip(world, chip);
    assert.deepEqual(labels(), ['host:label:b:3']);
  });

  it('refuses to enrol away what an operator changes meanwhile: both changes stay', async () => {
    await using world = await chipWorld();
    const chip = genuine();
    await attestChip(world, chip);
    const set = (key: string) =>
      world.hosts.set(hashOf(chip), { labels: { [key]: 'v' }, removeLabels: [] }, 'uid 0');
    await Promise.all(['a', 'b', 'c', 'd'].map(set));
    assert.deepEqual(Object.keys(world.registry.host(hashOf(chip))?.labels ?? {}).sort(), [
      'a',
      'b',
      'c',
      'd',
    ]);
  });

  it('bans a host with its node, and a release lets it attest again', async () => {
    await using world = await chipWorld();
    const chip = genuine();
    const { id } = await attestChip(world, chip);
    await world.hosts.banNode(id, 'uid 0');
    const node = world.registry.node(id);
    assert.deepEqual(
      [node?.banned, node?.serial, world.registry.host(hashOf(chip))?.state],
      [true, '', 'banned'],
    );
    await rejectsCode(
      'host_state_conflict',
      /is banned: once forgotten, it could enrol again$/,
      world.hosts.forget(hashOf(chip), 'uid 0'),
    );
    await rejectsCode(
      'host_state_conflict',
      /is banned: release it to let it in again$/,
      world.hosts.allow({ ekHash: hashOf(chip), name: 'edge-9', labels: {} }, 'uid 0'),
    );
    assert.equal(world.registry.host(hashOf(chip))?.name, '');
    await world.hosts.release(hashOf(chip), 'uid 0');
    assert.equal(world.registry.node(id)?.banned, false);
    await attestChip(world, chip);
  });

  it('a ban of a node without a host is none of its business', async () => {
    await using world = await chipWorld();
    await world.hosts.banNode(makeSpiffeId(domain, '/spire/agent/join_token/x'), 'uid 0');
    assert.equal(world.store.revision, 0);
  });

  it('forgets every trace of a host', async () => {
    await using world = await chipWorld();
    const chip = genuine({ templates: ['p256-l2', 'rsa2048-l1'] });
    const { id } = await attestChip(world, chip);
    await world.hosts.forget(hashOf(chip, 'rsa2048-l1'), 'uid 0');
    assert.equal(world.registry.host(hashOf(chip)), undefined);
    assert.equal(world.registry.node(id), undefined);
    for (const kind of ['host', 'host_ek', 'allowed_ek', 'node'] as const) {
      assert.deepEqual(await world.store.list(kind), [], kind);
    }
    await rejectsCode('host_unknown', /^there is no host /, world.hosts.forget(hashOf(chip), 'uid 0'));
  });

  it('cannot quarantine what has not attested', async () => {
    await using world = await chipWorld({ enrol: 'allow-list' });
    await world.hosts.allow({ ekHash: hash('a'), name: '', labels: {} }, 'uid 0');
    const task = world.hosts.quarantine(hash('a'), '', 'uid 0');
    await rejectsCode('host_unknown', /^host a{64} has not attested yet$/, task);
  });

  it('tells who did what', async () => {
    await using world = await chipWorld();
    const chip = genuine();
    await attestChip(world, chip);
    await world.hosts.quarantine(hashOf(chip), 'odd', 'spiffe://example.org/op');
    assert.deepEqual(world.events.at(-1), {
      name: 'host_changed',
      hostId: hashOf(chip),
      change: 'quarantined',
      by: 'spiffe://example.org/op',
    });
  });
});

describe('replacing a host', () => {
  async function replaced(kind: 'enrolled' | 'waiting') {
    const world = await chipWorld({ enrol: kind === 'waiting' ? 'approval' : 'any-genuine' });
    const [old, fresh] = [genuine(), genuine()];
    if (kind === 'waiting') await world.hosts.allow({ ekHash: hashOf(old), name: '', labels: {} }, 'uid 0');
    const before = await attestChip(world, old);
    await world.hosts.set(hashOf(old), { name: 'edge-7', labels: { site: 'n' }, removeLabels: [] }, 'uid 0');
    const entries = ['a', 'b'].map((id) =>
      entryOf(id, [`unix:uid:${id.charCodeAt(0)}`], {
        parentId: before.id,
        spiffeId: makeSpiffeId(domain, `/w/${id}`),
      }),
    );
    const { entryUniqueKey } = await import('../../../src/spiffe/entry.js');
    await world.store.commit(
      entries.flatMap((entry) => [
        { kind: 'entry' as const, key: entry.id, value: entry },
        { kind: 'entry_key' as const, key: entryUniqueKey(entry), value: { id: entry.id } },
      ]),
    );
    if (kind === 'waiting') await assert.rejects(attestChip(world, fresh));
    else await attestChip(world, fresh);
    const found = await world.hosts.replace('edge-7', hashOf(fresh), 'uid 0');
    return { world, old, fresh, before, found };
  }

  it('moves name, labels and entries in one step; the old chip gets nothing any more', async () => {
    const { world, old, fresh, before, found } = await replaced('enrolled');
    await using _ = world;
    assert.ok(found.kind === 'host');
    assert.deepEqual(
      [found.id, found.host.name, found.host.labels],
      [hashOf(fresh), 'edge-7', { site: 'n' }],
    );
    const successor = tpmNodeId(domain, hashOf(fresh));
    assert.deepEqual([...world.registry.authorizedEntries(successor).keys()].sort(), ['a', 'b']);
    assert.equal(world.registry.entry('a')?.revisionNumber, 1);
    assert.equal(world.registry.node(before.id), undefined);
    assert.equal(world.registry.host(hashOf(old))?.state, 'retired');
    assert.match(world.registry.host(hashOf(old))?.reasons[0]?.message ?? '', /^uid 0 put .* in its place$/);
    await rejectsCode('host_retired', /is retired/, attestChip(world, old));
    const { entryUniqueKey } = await import('../../../src/spiffe/entry.js');
    for (const entry of world.registry.entries()) {
      assert.equal((await world.store.get('entry_key', entryUniqueKey(entry)))?.value.id, entry.id);
    }
    assert.equal((await world.store.list('entry_key')).length, 2);
  });

  it('approves a successor that waits', async () => {
    const { world, fresh, found } = await replaced('waiting');
    await using _ = world;
    assert.equal(found.kind, 'allowed');
    const { id } = await attestChip(world, fresh);
    assert.equal(id, tpmNodeId(domain, hashOf(fresh)));
    assert.equal(world.registry.host(hashOf(fresh))?.name, 'edge-7');
    assert.equal(world.registry.authorizedEntries(id).size, 2);
  });

  it('refuses a host as its own successor', async () => {
    await using world = await chipWorld();
    const chip = genuine();
    await attestChip(world, chip);
    const task = world.hosts.replace(hashOf(chip), hashOf(chip), 'uid 0');
    await rejectsCode('host_state_conflict', /cannot take its own place$/, task);
  });
});
