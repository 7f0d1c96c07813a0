import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hasCode } from '../../../src/errors.js';
import { inForce } from '../../fakes/fake-policies.js';
import { type MeasuredHost, measuredHost } from '../../fakes/measured-host.js';
import { live, unanswered } from './live.js';
import type { MeasuringWorld } from './world.js';

describe('evidence that is not what was asked for', () => {
  const cases: readonly [
    string,
    RegExp,
    (host: MeasuredHost) => Parameters<MeasuredHost['answerTick']>[1],
  ][] = [
    ['quote_nonce', /^the quote answers another challenge/, () => ({ extraData: new Uint8Array(32) })],
    [
      'quote_signature',
      /^the signature of the quote/,
      () => ({
        change: (evidence) => ({ ...evidence, signature: flipped(evidence.signature) }),
      }),
    ],
    ['evidence_unexpected', /^evidence 9 was not asked for$/, () => ({ seq: 9n })],
    [
      'evidence_invalid',
      /^the ima-list comes twice$/,
      () => ({
        change: (evidence) => ({ ...evidence, logs: [...evidence.logs.slice(1), ...evidence.logs.slice(2)] }),
      }),
    ],
    [
      'evidence_invalid',
      /^the ima-list is present from byte 5 on, where \d+ was asked for$/,
      () => ({
        change: (evidence) => ({
          ...evidence,
          logs: evidence.logs.map((part) => (part.log === 3 ? { ...part, offset: 5n } : part)),
        }),
      }),
    ],
    [
      'evidence_invalid',
      /^a part of a log has the kind 7 and the state 1$/,
      () => ({
        change: (evidence) => ({
          ...evidence,
          logs: evidence.logs.map((part) => (part.log === 3 ? { ...part, log: 7 as never } : part)),
        }),
      }),
    ],
    [
      'evidence_invalid',
      /^a quote has 513 bytes/,
      () => ({ change: (evidence) => ({ ...evidence, attest: new Uint8Array(513) }) }),
    ],
  ];
  for (const [code, message, change] of cases) {
    it(`ends the session with ${code}: ${message.source}`, async () => {
      const { world, host, session } = await live();
      session.auto = false;
      await session.grow();
      await session.answer(undefined, change(host) ?? {});
      const error = await session.ended;
      assert.ok(hasCode(error, code as never), String(error));
      assert.match(error.message, message);
      assert.equal(world.sessions.isLive(world.nodeId(host)), false);
      await world[Symbol.asyncDispose]();
    });
  }

  it('another chip cannot speak for this one', async () => {
    const { world, session } = await live();
    const tick = await unanswered(session);
    await session.say({ case: 'evidence', value: await measuredHost().answerTick(tick) });
    assert.ok(hasCode(await session.ended, 'quote_signature'));
    await world[Symbol.asyncDispose]();
  });

  it('one answer is good once', async () => {
    const { world, host, session } = await live();
    const tick = await unanswered(session);
    const value = await host.answerTick(tick);
    await session.say({ case: 'evidence', value });
    await session.say({ case: 'evidence', value });
    const error = await session.ended;
    assert.ok(hasCode(error, 'evidence_unexpected'), String(error));
    await world[Symbol.asyncDispose]();
  });

  it('an answer that comes too late is no answer, and no crime', async () => {
    const { world, host, session } = await live();
    const tick = await unanswered(session);
    await world.clock.pass(15_000, 1000);
    await session.answer(tick);
    assert.equal(session.over, false);
    const before = world.measurements.lastEvidenceAt(world.host(host).id);
    assert.ok(before < world.clock.now() - 14_000);
    await world[Symbol.asyncDispose]();
  });

  it('a part of a log that nobody asked for ends the session', async () => {
    const { world, host, session } = await live();
    const value = host.part({ log: 3, offset: 0n, maxBytes: 10 } as never);
    await session.say({ case: 'logPart', value });
    const error = await session.ended;
    assert.ok(hasCode(error, 'evidence_unexpected'));
    assert.match(error.message, /^a part of a log was not asked for$/);
    await world[Symbol.asyncDispose]();
  });

  it('a host that stops in the middle of a log is cut off in time', async () => {
    const { world, host, session } = await live();
    session.auto = false;
    for (let n = 0; n < 10; n += 1) host.run(`/usr/bin/${n}`);
    host.partSize = 100;
    await session.grow();
    await session.answer();
    assert.equal(session.requests, 1);
    await world.clock.pass(15_000, 5000);
    const error = await session.ended;
    assert.ok(hasCode(error, 'evidence_late'), String(error));
    assert.match(error.message, /^the ima-list did not come within its time$/);
    await world[Symbol.asyncDispose]();
  });

  it('hints that do not give the digest count for nothing, and nothing follows from them', async () => {
    const { world, host, session } = await live();
    session.change = {
      change: (evidence) => ({
        ...evidence,
        pcrValues: evidence.pcrValues.map((pcr) => ({ ...pcr, value: new Uint8Array(32) })),
      }),
    };
    host.run('/usr/bin/two');
    await session.grow();
    assert.equal(session.over, false);
    assert.equal(world.host(host).state, 'trusted');
    const latest = await world.measurements.archive.latest(world.host(host).id);
    assert.deepEqual(latest?.record.pcrValues, {});
    await world[Symbol.asyncDispose]();
  });

  it('is forgotten with the freshness of its host', async () => {
    const { world, host, session } = await live();
    session.change = { extraData: new Uint8Array(32) };
    await session.grow();
    assert.ok(hasCode(await session.ended, 'quote_nonce'));
    assert.equal(world.measurements.isFresh({ hostId: world.host(host).id }), false);
    await world[Symbol.asyncDispose]();
  });
});

describe('a failure of the server', () => {
  const failures: readonly [string, (world: MeasuringWorld, fails: boolean) => void][] = [
    [
      'a judge that fails',
      (world, fails) => {
        world.appraiser.failNext = fails ? new Error('a fault') : undefined;
      },
    ],
    ['a full disk', (world, fails) => world.store.failAsFull(fails)],
  ];
  for (const [what, fail] of failures) {
    it(`is nothing against the host, which is asked again in its time: ${what}`, async () => {
      const { world, host, session } = await live();
      const { id } = world.host(host);
      const before = world.measurements.lastEvidenceAt(id);
      fail(world, true);
      host.run('/usr/bin/two');
      await session.grow();
      assert.equal(session.over, false);
      assert.equal(world.measurements.isFresh({ hostId: id }), true);
      assert.equal(world.measurements.lastEvidenceAt(id), before, 'what was not judged is no evidence');
      assert.ok(world.lines.some((line) => line.includes('could not be judged or kept')));
      fail(world, false);
      await world.clock.pass(30_000, 1000);
      assert.ok(world.measurements.lastEvidenceAt(id) > before);
      assert.equal(world.measurements.isMeasured(id, '/usr/bin/two'), true);
      await world[Symbol.asyncDispose]();
    });
  }

  it('that lasts makes a host stale, as silence does', async () => {
    const { world, host, session } = await live();
    world.store.failAsFull(true);
    for (let n = 0; n < 8; n += 1) {
      host.run(`/usr/bin/${n}`);
      await world.clock.pass(10_000, 1000);
      await session.say({ case: 'heartbeat', value: {} as never });
    }
    assert.equal(session.over, false);
    assert.equal(world.measurements.isFresh({ hostId: world.host(host).id }), false);
    world.store.failAsFull(false);
    await world[Symbol.asyncDispose]();
  });

  it('pieces of a log that are gone are asked for anew', async () => {
    const { world, host, session } = await live();
    const pieces = await world.store.list('evidence_log');
    await world.store.commit(pieces.map(({ key }) => ({ kind: 'evidence_log', key, deleted: true })));
    host.run('/usr/bin/two');
    // Under another policy whole logs are judged, and they are not there.
    world.policies.set(inForce({ id: 'p2' }));
    await world.clock.pass(60_000, 1000);
    assert.equal(session.over, false);
    assert.equal(world.host(host).appraisal?.policyId, 'p2');
    const latest = await world.measurements.archive.latest(world.host(host).id);
    assert.equal(latest?.record.logs.imaList, host.imaList.length);
    await world[Symbol.asyncDispose]();
  });

  it('a session that is cut off in the middle of a log leaves the host as fresh as it was', async () => {
    const { world, host, session } = await live();
    session.auto = false;
    host.run('/usr/bin/two');
    host.partSize = 50;
    await session.grow();
    await session.answer();
    assert.equal(session.requests, 1);
    await world.open(host);
    assert.equal(world.measurements.isFresh({ hostId: world.host(host).id }), true);
    await world[Symbol.asyncDispose]();
  });
});

function flipped(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[copy.length - 1] = (copy[copy.length - 1] ?? 0) ^ 1;
  return copy;
}
