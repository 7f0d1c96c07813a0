import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { verifyJwtSvid } from '../../../src/spiffe/verify-jwt-svid.js';
import { readCertificate } from '../../../src/x509/read-certificate.js';
import { denyWorld, hostId, nodeOf, web } from '../../fakes/deny-world.js';
import { settle } from '../../fakes/manual-clock.js';
import { agent, host as hostRecord, node as nodeRecord } from '../registry/world.js';

const HOUR = 3_600_000;

describe('a withdrawal', () => {
  test('follows every state that withdraws, in memory at once and in the store right after', async () => {
    for (const state of ['drifted', 'quarantined', 'banned', 'retired'] as const) {
      const world = denyWorld();
      const run = await world.start();
      await world.enrol('a');
      await run.x509(nodeOf('a'));
      assert.deepEqual(run.withdrawals.all(), []);
      await world.setState('a', state);
      const [record] = run.withdrawals.all();
      const now = world.clock.now();
      assert.deepEqual(record, {
        ...{ nodeId: nodeOf('a'), hostId: hostId('a'), issuedBefore: now, until: now + 2 * HOUR },
        reasons: [{ code: `is_${state}`, message: `it is ${state}` }],
      });
      await settle();
      assert.deepEqual(
        (await world.records()).map(({ value }) => value),
        [record],
      );
      assert.ok(run.withdrawals.isWithdrawn(nodeOf('a')));
      const audited = world.lines.filter(({ event }) => event === 'identities_withdrawn');
      assert.deepEqual(
        audited.map(({ agent_id }) => agent_id),
        [nodeOf('a')],
      );
      await run.stop();
    }
  });

  test('is not made for states that withdraw nothing, nor for a host that holds nothing', async () => {
    const world = denyWorld();
    const run = await world.start();
    await world.enrol('a');
    await run.x509(nodeOf('a'));
    for (const state of ['suspect', 'stale', 'unmeasured', 'trusted'] as const)
      await world.setState('a', state);
    await world.enrol('b');
    await world.setState('b', 'drifted');
    await settle();
    assert.deepEqual([run.withdrawals.all(), await world.records()], [[], []]);
    await run.stop();
  });

  test('follows the ban and the eviction of a node without a host', async () => {
    const world = denyWorld();
    const run = await world.start();
    for (const name of ['banned', 'evicted']) {
      await world.store.commit([{ kind: 'node', key: agent(name), value: nodeRecord(name) }]);
      await run.x509(agent(name));
    }
    const banned = { ...nodeRecord('banned'), banned: true };
    await world.store.commit([{ kind: 'node', key: agent('banned'), value: banned }]);
    await world.store.commit([{ kind: 'node', key: agent('evicted'), deleted: true }]);
    const codes = run.withdrawals.all().map(({ nodeId, reasons }) => [nodeId, reasons[0]?.code]);
    assert.deepEqual(codes, [
      [agent('banned'), 'agent_banned'],
      [agent('evicted'), 'evicted'],
    ]);
    await run.stop();
  });

  test('is not made of a node that is about to attest for the first time', async () => {
    const world = denyWorld();
    const run = await world.start();
    const host = hostRecord(hostId('c'));
    await run.x509(nodeOf('c'));
    await world.store.commit([{ kind: 'host', key: hostId('c'), value: host }]);
    assert.deepEqual(run.withdrawals.all(), []);
    await run.stop();
  });

  test('stays after the recovery for what was issued before it, and not for what comes after', async () => {
    const world = denyWorld();
    const run = await world.start();
    await world.enrol('a');
    const bad = await run.x509(nodeOf('a'));
    await world.setState('a', 'drifted');
    const issuedBefore = world.clock.now();
    world.clock.advance(300);
    await world.setState('a', 'trusted');
    const good = await run.x509(nodeOf('a'));
    const token = await run.jwt(nodeOf('a'), true);
    assert.ok(!run.withdrawals.isWithdrawn(nodeOf('a')));
    assert.equal(run.withdrawals.all()[0]?.issuedBefore, issuedBefore);
    const begin = readCertificate(good.chain[0] ?? new Uint8Array()).notBefore;
    assert.ok(
      begin * 1000 >= issuedBefore,
      'it does not begin before what was withdrawn, not even to spare slow clocks',
    );
    assert.ok(token.issuedAt * 1000 >= issuedBefore);
    await world.clock.pass(2000);
    const feed = run.feed();
    assert.deepEqual([feed.serials.includes(bad.serial), feed.serials.includes(good.serial)], [true, false]);
    await run.stop();
  });

  test('covers what was issued before the clock was set back, and never covers less than before', async () => {
    const world = denyWorld();
    const run = await world.start();
    await world.enrol('a');
    const { issuedAt } = await run.jwt(nodeOf('a'), false);
    world.clock.advance(-HOUR);
    await world.setState('a', 'drifted');
    const first = run.withdrawals.all()[0]?.issuedBefore ?? 0;
    assert.ok(issuedAt * 1000 < first, 'the token began before it');
    await world.setState('a', 'trusted');
    world.clock.advance(HOUR + 2000);
    await run.jwt(nodeOf('a'), false);
    world.clock.advance(-2 * HOUR);
    await world.setState('a', 'quarantined');
    assert.ok((run.withdrawals.all()[0]?.issuedBefore ?? 0) > first);
    await run.stop();
  });

  test('a second one lists what was issued in between', async () => {
    const world = denyWorld();
    const run = await world.start();
    await world.enrol('a');
    const first = await run.x509(nodeOf('a'));
    await world.setState('a', 'drifted');
    await world.clock.pass(5000);
    await world.setState('a', 'trusted');
    const second = await run.x509(nodeOf('a'));
    await world.clock.pass(5000);
    await world.setState('a', 'quarantined');
    await world.setState('a', 'banned');
    await world.clock.pass(2000);
    const [record] = run.withdrawals.all();
    assert.equal(record?.issuedBefore, world.clock.now() - 2000);
    assert.equal(record?.reasons[0]?.code, 'is_banned', 'the newest reason stands');
    assert.deepEqual(run.feed().serials, [first.serial, second.serial].sort());
    await run.stop();
  });

  test('that a crash kept from being written down is made at the next start, of everything set aside', async () => {
    const world = denyWorld();
    const run = await world.start();
    await world.enrol('a');
    await world.enrol('b');
    const bad = await run.x509(nodeOf('a'));
    await run.x509(nodeOf('b'));
    await world.store.commit([{ kind: 'node', key: agent('n'), value: nodeRecord('n') }]);
    const gone = await run.x509(agent('n'));
    // Stopped first: the state changes as the last thing before the process dies.
    await run.stop();
    await world.setState('a', 'drifted');
    await world.store.commit([{ kind: 'node', key: agent('n'), deleted: true }]);
    world.clock.advance(1000);
    const again = await world.start();
    const records = again.withdrawals.all();
    assert.deepEqual(records.map(({ nodeId }) => nodeId).sort(), [agent('n'), nodeOf('a')].sort());
    const { serials } = again.feed();
    assert.ok(serials.includes(bad.serial) && serials.includes(gone.serial));
    assert.equal(serials.length, 64);
    await again.stop();
    const third = await world.start();
    assert.deepEqual(third.withdrawals.all(), records, 'the start after it finds nothing more');
    assert.deepEqual(third.feed().serials, serials);
    await third.stop();
  });

  test('that the disk refuses holds all the same, and is written down when there is room', async () => {
    const world = denyWorld();
    const run = await world.start();
    await world.enrol('a');
    const bad = await run.x509(nodeOf('a'));
    const host = await world.store.get('host', hostId('a'));
    assert.ok(host);
    const { store } = world;
    const stop = store.subscribe(({ writes }) => {
      if (writes.some((write) => write.kind === 'host')) store.failAsFull(true);
    });
    await world.setState('a', 'drifted');
    stop();
    await world.clock.pass(1500);
    assert.ok(run.feed().serials.includes(bad.serial));
    assert.deepEqual(await world.records(), []);
    assert.ok(
      world.lines.some(({ msg, message }) => /withdrawal could not be written/.test(String(msg ?? message))),
    );
    store.failAsFull(false);
    await world.clock.pass(3000);
    assert.equal((await world.records()).length, 1);
    await run.stop();
  });

  test('ends when everything that was issued before it has ended', async () => {
    const world = denyWorld();
    const run = await world.start();
    await world.enrol('a');
    await run.x509(nodeOf('a'));
    await world.setState('a', 'drifted');
    await world.clock.pass(2 * HOUR - 10_000, HOUR);
    assert.equal(run.withdrawals.all().length, 1);
    await world.clock.pass(20_000, 5_000);
    assert.deepEqual([run.withdrawals.all(), await world.records()], [[], []]);
    assert.deepEqual(run.feed().nodes, []);
    await run.stop();
  });

  test('of a node with tokens only names the node until they have ended, and lists their ids if they have some', async () => {
    const world = denyWorld();
    const run = await world.start();
    await world.enrol('a');
    await run.jwt(nodeOf('a'), false, 60);
    const { token } = await run.jwt(nodeOf('a'), true, 60);
    const rules = { audience: 'a', bundles: run.authority.bundle(), now: world.clock.now() / 1000 };
    const { jti, sub } = verifyJwtSvid(token, rules).claims;
    assert.equal(sub, web);
    await world.setState('a', 'drifted');
    await world.clock.pass(1500);
    const feed = run.feed();
    assert.deepEqual(feed.serials, [jti]);
    assert.equal(feed.nodes[0]?.until, (world.clock.now() - 1500) / 1000 + 60 + 1800);
    await run.stop();
  });
});
