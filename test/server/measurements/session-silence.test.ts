import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HostState } from '../../../src/wire/gen/touchmark/host/v1/state_pb.js';
import { inForce } from '../../fakes/fake-policies.js';
import { type MeasuredHost, measuredHost } from '../../fakes/measured-host.js';
import { live, policy } from './live.js';
import { type MeasuringWorld, measuringWorld } from './world.js';

describe('silence', () => {
  const stale = async (world: MeasuringWorld, host: MeasuredHost) =>
    !world.sessions.isLive(world.nodeId(host));

  it('makes a node stale by itself, though its heart beats, and evidence ends that', async () => {
    const { world, host, session } = await live();
    session.auto = false;
    for (let at = 0; at < 70; at += 10) {
      await world.clock.pass(10_000, 1000);
      await session.say({ case: 'heartbeat', value: {} as never });
    }
    assert.equal(await stale(world, host), false);
    await world.clock.pass(6_000, 1000);
    await session.say({ case: 'heartbeat', value: {} as never });
    assert.equal(await stale(world, host), true);
    assert.equal(session.over, false);
    assert.equal(session.states().at(-1), HostState.STALE);
    session.auto = true;
    await world.clock.pass(16_000, 1000);
    await session.grow();
    assert.equal(await stale(world, host), false);
    assert.equal(session.states().at(-1), HostState.TRUSTED);
    await world[Symbol.asyncDispose]();
  });

  it('is as long as time passes, however the time of day is set', async () => {
    const { world, host, session } = await live();
    session.auto = false;
    world.clock.set(3_600_000);
    assert.equal(await stale(world, host), false, 'an hour ahead');
    world.clock.set(-2 * 3_600_000);
    for (let at = 0; at < 80; at += 10) {
      await world.clock.pass(10_000, 1000);
      await session.say({ case: 'heartbeat', value: {} as never });
    }
    assert.equal(await stale(world, host), true, 'an hour back');
    session.auto = true;
    await world.clock.pass(16_000, 1000);
    await session.grow();
    assert.equal(await stale(world, host), false, 'growth is asked about at once');
    await world[Symbol.asyncDispose]();
  });

  it('is nothing to a policy that only reports, nor where none applies', async () => {
    for (const mode of ['report', undefined] as const) {
      const { world, host, session } = await live({}, mode && inForce({ mode }));
      if (mode === undefined) world.policies.set(undefined);
      session.auto = false;
      for (let at = 0; at < 120; at += 10) {
        await world.clock.pass(10_000, 10_000);
        await session.say({ case: 'heartbeat', value: {} as never });
      }
      assert.equal(await stale(world, host), false, mode);
      await world[Symbol.asyncDispose]();
    }
  });

  it('of an agent that says it cannot answer ticks is silence too', async () => {
    const world = await measuringWorld();
    world.policies.set(policy);
    const host = measuredHost();
    await world.attestHost(host);
    const session = await world.open(host, { features: [] });
    for (let at = 0; at < 80; at += 10) {
      await world.clock.pass(10_000, 10_000);
      await session.say({ case: 'heartbeat', value: {} as never });
    }
    assert.equal(await stale(world, host), true);
    await world[Symbol.asyncDispose]();
  });

  it('after a restart of the server lasts until the first answer', async () => {
    const first = await live();
    const world = await measuringWorld({ before: first.world });
    world.policies.set(policy);
    const session = await world.open(first.host, { auto: false });
    assert.equal(await stale(world, first.host), true);
    assert.equal(session.ticks.length, 1, 'asked at once');
    await session.answer();
    assert.equal(await stale(world, first.host), false);
    assert.equal(session.states().at(-1), HostState.TRUSTED);
    await world[Symbol.asyncDispose]();
  });
});

describe('evidence that somebody waits for', () => {
  it('is of a quote that was asked for after the question', async () => {
    const { world, host, session } = await live();
    const { id } = world.host(host);
    session.auto = false;
    await session.grow();
    let came: boolean | undefined;
    const waiting = world.measurements.freshEvidence(id, 5000).then((result) => {
      came = result;
    });
    await session.answer();
    assert.equal(came, undefined, 'the tick was under way before');
    session.auto = true;
    await world.clock.pass(1000, 500);
    await waiting;
    assert.equal(came, true);
    await world[Symbol.asyncDispose]();
  });

  it('does not come from a host that is silent or gone', async () => {
    const { world, host, session } = await live();
    const { id } = world.host(host);
    session.auto = false;
    const waiting = world.measurements.freshEvidence(id, 2000);
    await world.clock.pass(2000, 500);
    assert.equal(await waiting, false);
    const cut = world.measurements.freshEvidence(id, 20_000);
    await session.close();
    assert.equal(await cut, false);
    assert.equal(await world.measurements.freshEvidence(id, 1000), false);
    await world[Symbol.asyncDispose]();
  });

  it('callers share one tick', async () => {
    const { world, host, session } = await live();
    const { id } = world.host(host);
    const all = await Promise.all([1, 2, 3].map(() => world.measurements.freshEvidence(id, 5000)));
    assert.deepEqual(all, [true, true, true]);
    assert.equal(session.ticks.length, 1);
    world.measurements.tickNow(id);
    await world.clock.pass(1000);
    assert.equal(session.ticks.length, 2);
    await world[Symbol.asyncDispose]();
  });
});

describe('two sessions of one node', () => {
  it('only the newer one is asked', async () => {
    const { world, host, session } = await live();
    const newer = await world.open(host);
    await world.clock.pass(31_000, 1000);
    assert.equal(session.ticks.length, 0);
    assert.ok(newer.ticks.length >= 1);
    await world[Symbol.asyncDispose]();
  });

  it('a node that comes back goes on where it was', async () => {
    const { world, host, session } = await live();
    await session.close();
    host.run('/usr/bin/two');
    const again = await world.open(host);
    await again.grow();
    assert.equal(world.appraiser.judged.at(-1)?.withState, true);
    assert.equal(host.sent.ima, host.imaList.length);
    await world[Symbol.asyncDispose]();
  });
});
