import assert from 'node:assert/strict';
import test from 'node:test';
import type { NodeStatus } from '../../../src/agent/contract.js';
import { createKeeper } from '../../../src/agent/node/keeper.js';
import type { NodeSvid } from '../../../src/agent/server/api.js';
import { TouchmarkError } from '../../../src/errors.js';
import { createLogger } from '../../../src/log.js';
import { parseSpiffeId } from '../../../src/spiffe/id.js';
import { generateKey } from '../../../src/x509/keys.js';
import { manualClock, settle } from '../../fakes/manual-clock.js';

const key = await generateKey('ec-p256');
const id = parseSpiffeId('spiffe://example.org/spire/agent/tpm/ab');
const away = new TouchmarkError('server_away', 'the server cannot be reached');
const refusal = new TouchmarkError('node_refused', 'the server says: not attested');
const ban = new TouchmarkError('node_banned', 'the server says: banned');

/** A keeper whose two ways to an SVID are what the test says; nothing is signed, for nothing looks at it here. */
function begin(t: test.TestContext, settings: { ttl?: number; reattestable?: boolean; fail?: Error } = {}) {
  const clock = manualClock();
  const lines: Record<string, unknown>[] = [];
  const calls: string[] = [];
  const statuses: Partial<NodeStatus>[] = [];
  const world: { fail: Error | undefined; ttl: number } = {
    fail: settings.fail,
    ttl: settings.ttl ?? 3600,
  };
  const issue = async (how: string): Promise<NodeSvid> => {
    calls.push(how);
    if (world.fail !== undefined) throw world.fail;
    const notBefore = clock.now() / 1000;
    const expiresAt = Math.floor(notBefore) + world.ttl;
    return { id, chain: [], key, notBefore, expiresAt, reattestable: settings.reattestable ?? true };
  };
  const keeper = createKeeper({
    clock,
    log: createLogger({
      format: 'json',
      write: (line) => void lines.push(JSON.parse(line)),
      clock,
      journal: false,
    }),
    random: () => 0.5,
    attest: () => issue('attest'),
    renew: () => issue('renew'),
    status: (change) => statuses.push(change),
  });
  const ended = new AbortController();
  const running = keeper.run(ended.signal);
  t.after(async () => {
    ended.abort();
    await running;
    assert.equal(clock.timers, 0, 'no timer is left');
  });
  return { clock, keeper, calls, statuses, world, lines, ended, running };
}

const held = (keeper: { svid: { value: NodeSvid | undefined } }) =>
  keeper.svid.value ?? assert.fail('nothing is held');

test('the first SVID is had by attesting, and told', async (t) => {
  const { keeper, calls, statuses, lines } = begin(t);
  await settle();
  assert.deepEqual(calls, ['attest']);
  assert.deepEqual(statuses, [{ id, svidExpiresAt: held(keeper).expiresAt }]);
  assert.equal(lines[0]?.['message'], 'node SVID received');
});

test('at half its life it is renewed: by proof where that works, by RenewAgent where it does not', async (t) => {
  for (const [reattestable, how] of [
    [true, 'attest'],
    [false, 'renew'],
  ] as const) {
    const { clock, calls, keeper } = begin(t, { reattestable });
    await settle();
    const first = held(keeper);
    await clock.pass(1_799_000);
    assert.deepEqual(calls, ['attest']);
    await clock.pass(2_000);
    assert.deepEqual(calls, ['attest', how]);
    assert.notEqual(held(keeper), first);
  }
});

test('a renewal that fails leaves the SVID in force, and is tried again with growing waits', async (t) => {
  const { clock, calls, keeper, world, lines } = begin(t);
  await settle();
  const first = held(keeper);
  world.fail = away;
  await clock.pass(1_800_000);
  await clock.pass(100_000, 1_000);
  assert.equal(held(keeper), first);
  assert.ok(calls.length >= 6 && calls.length <= 12, `${calls.length} attempts in 100 seconds`);
  const told = lines.find(({ message }) => message === 'renewing the node SVID failed');
  assert.deepEqual([told?.['error'], told?.['code']], [away.message, 'server_away']);
});

test('an SVID that ended is given up at its end and attested anew, never renewed', async (t) => {
  const { clock, calls, keeper, world, lines } = begin(t, { reattestable: false });
  await settle();
  world.fail = away;
  await clock.pass(3_599_000, 30_000);
  assert.ok(keeper.svid.value !== undefined);
  await clock.pass(1_000);
  assert.equal(keeper.svid.value, undefined);
  assert.ok(lines.some(({ message }) => message === 'the node SVID has ended; attesting again'));
  calls.length = 0;
  world.fail = undefined;
  await clock.pass(31_000, 1_000);
  assert.deepEqual(calls, ['attest']);
});

test('a refused SVID is replaced at once, a second refusal waits', async (t) => {
  const { clock, calls, keeper } = begin(t);
  await settle();
  keeper.refused(held(keeper), refusal);
  assert.equal(keeper.svid.value, undefined);
  await settle();
  assert.equal(calls.length, 2);
  keeper.refused(held(keeper), refusal);
  await settle();
  assert.equal(calls.length, 2, 'two agents of one chip must not race');
  await clock.pass(2_000, 500);
  assert.equal(calls.length, 3);
});

test('an SVID that lasted a minute ends the row of refusals', async (t) => {
  const { clock, calls, keeper } = begin(t);
  await settle();
  for (let times = 2; times < 6; times += 1) {
    await clock.pass(61_000);
    keeper.refused(held(keeper), refusal);
    await settle();
    assert.equal(calls.length, times);
  }
});

test('a refusal of an SVID that was replaced meanwhile is passed over', async (t) => {
  const { keeper, calls } = begin(t);
  await settle();
  const first = held(keeper);
  keeper.refused(first, refusal);
  await settle();
  const second = held(keeper);
  keeper.refused(first, refusal);
  await settle();
  assert.deepEqual([held(keeper), calls.length], [second, 2]);
});

test('a server that refuses the renewal is attested to anew', async (t) => {
  const { clock, calls, keeper, world } = begin(t, { reattestable: false });
  await settle();
  world.fail = refusal;
  await clock.pass(1_801_000);
  assert.deepEqual(calls.slice(0, 3), ['attest', 'renew', 'attest']);
  assert.equal(keeper.svid.value, undefined);
});

test('a ban is waited out in minutes, and waking does not shorten that', async (t) => {
  const { clock, calls, keeper, world } = begin(t);
  await settle();
  world.fail = ban;
  keeper.refused(held(keeper), ban);
  calls.length = 0;
  for (let minute = 0; minute < 20; minute += 1) {
    keeper.wake();
    await clock.pass(60_000, 30_000);
  }
  assert.ok(calls.length >= 4 && calls.length <= 8, `${calls.length} attempts in twenty minutes`);
  world.fail = undefined;
  await clock.pass(300_000, 30_000);
  assert.ok(keeper.svid.value !== undefined);
});

test('an attempt that waits is made at once when the server was reached', async (t) => {
  const { clock, calls, keeper, world } = begin(t, { fail: away });
  await settle();
  await clock.pass(60_000, 1_000);
  const before = calls.length;
  world.fail = undefined;
  keeper.wake();
  await settle();
  assert.equal(calls.length, before + 1);
  assert.ok(keeper.svid.value !== undefined);
  keeper.wake();
  await settle();
  assert.equal(calls.length, before + 1, 'nothing waits, so nothing is done');
});

test('the server may bring a renewal forward, not put it off', async (t) => {
  const { clock, calls, keeper } = begin(t);
  await settle();
  const now = clock.now() / 1000;
  keeper.renewBy(0);
  keeper.renewBy(now + 100_000);
  keeper.renewBy(now + 60);
  keeper.renewBy(now + 300);
  await clock.pass(59_000, 20_000);
  assert.equal(calls.length, 1);
  await clock.pass(2_000);
  assert.equal(calls.length, 2);
});

test('a server that asks for proof after proof gets one in ten seconds', async (t) => {
  const { clock, calls, keeper } = begin(t);
  await settle();
  for (let second = 0; second < 60; second += 1) {
    keeper.renewBy(1);
    await clock.pass(1_000);
  }
  assert.ok(calls.length >= 6 && calls.length <= 8, `${calls.length} attestations in a minute`);
});

test('SVIDs of a few seconds are renewed once a second and no faster', async (t) => {
  const { clock, calls } = begin(t, { ttl: 1 });
  await settle();
  await clock.pass(10_000, 250);
  assert.ok(calls.length >= 8 && calls.length <= 12, `${calls.length} attestations in ten seconds`);
});

test('the end is quick while an attempt waits', async (t) => {
  const { clock, ended, running } = begin(t, { fail: away });
  await settle();
  ended.abort();
  await running;
  assert.equal(clock.timers, 0);
});
