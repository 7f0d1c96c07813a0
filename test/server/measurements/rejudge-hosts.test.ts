import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inForce } from '../../fakes/fake-policies.js';
import { settle } from '../../fakes/manual-clock.js';
import { measuredHost } from '../../fakes/measured-host.js';
import { live, policy } from './live.js';
import { measuringWorld } from './world.js';

const stricter = inForce({ id: 'p2', forbidden: ['/usr/bin/one'] });

describe('a publication', () => {
  it('reaches every host while others send their logs slowly', async () => {
    const world = await measuringWorld();
    world.policies.set(policy);
    const hosts = Array.from({ length: 8 }, () => measuredHost());
    for (const host of hosts) {
      host.run('/usr/bin/one');
      await world.attestHost(host);
      const session = await world.open(host, { auto: false });
      host.run('/usr/bin/two');
      host.partSize = 10;
      await session.grow();
      await session.answer();
      assert.equal(session.requests, 1);
    }
    world.policies.set(stricter);
    await settle();
    for (const host of hosts) assert.equal(world.host(host).state, 'drifted');
    await world[Symbol.asyncDispose]();
  });

  it('asks no host for what is kept of it', async () => {
    const { world, host, session } = await live();
    world.policies.set(stricter);
    await settle();
    assert.equal(world.host(host).state, 'drifted');
    assert.equal(session.ticks.length, 0);
    assert.deepEqual(
      world.appraiser.judged.map(({ withState }) => withState),
      [false, false],
    );
    await world[Symbol.asyncDispose]();
  });

  it('between a tick and its answer has whole logs judged once', async () => {
    const { world, host, session } = await live();
    session.auto = false;
    await session.grow();
    world.policies.set(inForce({ id: 'p2' }));
    await settle();
    host.run('/usr/bin/two');
    await session.answer();
    assert.deepEqual(
      world.appraiser.judged.map(({ withState }) => withState),
      [false, false, true],
    );
    assert.equal(world.host(host).appraisal?.policyId, 'p2');
    await world[Symbol.asyncDispose]();
  });

  it('holds for a host whose first attestation is under way', async () => {
    await using world = await measuringWorld();
    world.policies.set(policy);
    const host = measuredHost();
    host.run('/usr/bin/one');
    const { issuer } = world.deps;
    // After the judgement, before anything is written.
    const { agentX509 } = issuer;
    Object.assign(issuer, {
      agentX509(request: Parameters<typeof agentX509>[0]) {
        world.policies.set(stricter);
        return agentX509(request);
      },
    });
    await world.attestHost(host);
    await settle();
    assert.equal(world.host(host).appraisal?.policyId, 'p2');
    assert.equal(world.host(host).state, 'drifted');
  });
});

describe('the newest quote of a host', () => {
  /** After ten minutes in which nothing changed, and a restart of the server. */
  async function restarted() {
    const { world: first, host, session } = await live();
    for (let n = 0; n < 20; n += 1) {
      host.chip.clock.clock += 30_000n;
      await first.clock.pass(30_000, 1000);
    }
    await first.measurements.flush();
    await session.close();
    await first.measurements[Symbol.asyncDispose]();
    const world = await measuringWorld({ before: first });
    world.policies.set(policy);
    await settle();
    return { world, host, newest: world.host(host).lastQuote };
  }

  it('is what its clock is held against after a restart, though older evidence is what is kept', async () => {
    const { world, host, newest } = await restarted();
    host.chip.clock.clock = BigInt(newest?.clock ?? 0) - 300_000n;
    await world.open(host);
    await world.clock.pass(2000, 500);
    const { state, suspicions } = world.host(host);
    assert.deepEqual([state, suspicions?.[0]?.code], ['suspect', 'cloned-or-cleared']);
    await world[Symbol.asyncDispose]();
  });

  it('is no suspicion where it goes on', async () => {
    const { world, host } = await restarted();
    host.chip.clock.clock += 1n;
    await world.open(host);
    await world.clock.pass(2000, 500);
    assert.equal(world.host(host).state, 'trusted');
    await world[Symbol.asyncDispose]();
  });

  it('stays what it is when a host that is off is judged anew', async () => {
    const { world, host, newest } = await restarted();
    await world.clock.pass(3_600_000, 600_000);
    world.policies.set(stricter);
    await settle();
    assert.equal(world.host(host).state, 'drifted');
    assert.deepEqual(world.host(host).lastQuote, newest);
    await world.measurements.flush();
    assert.deepEqual(world.host(host).lastQuote, newest);
    await world[Symbol.asyncDispose]();
  });
});
