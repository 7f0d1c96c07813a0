import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AttestingAgent } from '../../fakes/chip-agent.js';
import type { MeasuredHost } from '../../fakes/measured-host.js';
import { live, unanswered } from './live.js';
import type { HostSession, MeasuringWorld } from './world.js';

/** An agent whose answer to the challenge is made at once and arrives after `meanwhile`. */
function delayed(agent: AttestingAgent, meanwhile: () => Promise<void>): AttestingAgent {
  let first = true;
  return {
    ...agent,
    async answer(bytes) {
      const answer = await agent.answer(bytes);
      if (first) await meanwhile();
      first = false;
      return answer;
    },
  };
}

async function grows(world: MeasuringWorld, host: MeasuredHost, session: HostSession, path: string) {
  host.run(path);
  await world.clock.pass(1000, 500);
  await session.grow();
  await world.clock.pass(1000, 500);
}

/** What is kept is whole and goes on, over a session of the new SVID and by attesting. */
async function goesOn(world: MeasuringWorld, host: MeasuredHost) {
  const session = await world.open(host);
  await grows(world, host, session, '/usr/bin/after');
  await grows(world, host, session, '/usr/bin/later');
  assert.equal(session.over, false, String(session.over && (await session.ended)));
  await world.attestHost(host);
  const { id } = world.host(host);
  assert.equal(world.measurements.isFresh({ hostId: id }), true);
  const latest = await world.measurements.archive.latest(id);
  const list = latest?.evidence.logs['ima-list'];
  assert.ok(list?.kind === 'bytes' && host.imaList.equals(list.bytes));
}

describe('an attestation and a tick of one host at once', () => {
  it('a tick that keeps more of the list between challenge and answer locks nobody out', async () => {
    const { world, host, session } = await live();
    const agent = delayed(await host.attesting(), () => grows(world, host, session, '/usr/bin/two'));
    await world.attest(agent);
    await goesOn(world, host);
    await world[Symbol.asyncDispose]();
  });

  it('nor does an attestation that keeps more than a tick whose answer comes after it', async () => {
    const { world, host, session } = await live();
    const tick = await unanswered(session);
    const value = await host.answerTick(tick);
    host.run('/usr/bin/two');
    await world.attestHost(host);
    await session.say({ case: 'evidence', value });
    await goesOn(world, host);
    await world[Symbol.asyncDispose]();
  });
});
