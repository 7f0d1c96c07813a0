import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { HostState } from '../../../src/wire/gen/touchmark/host/v1/state_pb.js';
import { TickEvidenceSchema, TickSchema } from '../../../src/wire/gen/touchmark/measure/v1/logs_pb.js';
import { inForce } from '../../fakes/fake-policies.js';
import { settle, until } from '../../fakes/manual-clock.js';
import { measuredHost } from '../../fakes/measured-host.js';
import { live, seqs, unanswered } from './live.js';
import { measuringWorld } from './world.js';

describe('ticks', () => {
  it('come once in an interval, at a place of the host’s own, each with another nonce', async () => {
    const { world, session } = await live();
    assert.equal(session.ticks.length, 0, 'it attested a moment ago');
    await world.clock.pass(120_000, 1000);
    assert.deepEqual(seqs(session.ticks), [1, 2, 3, 4]);
    const nonces = session.ticks.map((tick) =>
      Buffer.from(fromBinary(TickSchema, tick).nonce).toString('hex'),
    );
    assert.equal(new Set(nonces).size, 4);
    await world[Symbol.asyncDispose]();
  });

  it('come at once for growth, one at a time and at most one a second', async () => {
    const { world, host, session } = await live();
    session.auto = false;
    await session.grow();
    await session.grow();
    await session.grow();
    assert.equal(session.ticks.length, 1);
    host.run('/usr/bin/two');
    await session.answer();
    assert.equal(
      session.ticks.length,
      1,
      'growth is announced again and again, the next tick waits its second',
    );
    await world.clock.pass(1000, 100);
    assert.equal(session.ticks.length, 2);
    await world[Symbol.asyncDispose]();
  });

  it('write nothing while nothing changes, and little when the list grows', async () => {
    const { world, host, session } = await live();
    const { revision } = world.store;
    await world.clock.pass(90_000, 1000);
    assert.equal(session.ticks.length, 3);
    assert.equal(world.store.revision, revision);
    host.run('/usr/bin/two');
    await session.grow();
    await until('what is new is kept', () => world.store.revision > revision);
    assert.equal(world.store.revision, revision + 1);
    host.run('/usr/bin/three');
    await world.clock.pass(1000);
    await session.grow();
    await until('that is kept, too', () => world.store.revision > revision + 1);
    const { id } = world.host(host);
    const history = await world.measurements.archive.history(id, 10);
    assert.equal(history.length, 2, 'the one that the verdict is of, and the newest');
    assert.equal(history[0]?.logs.imaList, host.imaList.length);
    const latest = await world.measurements.archive.latest(id);
    const list = latest?.evidence.logs['ima-list'];
    assert.ok(list?.kind === 'bytes' && host.imaList.equals(list.bytes));
    await world[Symbol.asyncDispose]();
  });

  it('an unchanged host answers in less than a kilobyte', async () => {
    const { world, host, session } = await live();
    const tick = await unanswered(session);
    const bytes = toBinary(TickEvidenceSchema, await host.answerTick(tick, { without: 'all' }));
    assert.ok(bytes.length <= 1000, `${bytes.length} bytes`);
    await session.answer(tick, { without: 'all' });
    assert.equal(session.over, false);
    await world[Symbol.asyncDispose]();
  });

  it('are written as times of the host now and then, and when the server stops', async () => {
    const { world, host } = await live();
    const attestedAt = world.clock.now();
    await world.clock.pass(60_000, 1000);
    assert.equal(world.host(host).lastQuote?.at, attestedAt);
    await world.clock.pass(300_000, 1000);
    const flushed = world.host(host).lastQuote?.at ?? 0;
    assert.ok(flushed > attestedAt);
    await world.clock.pass(60_000, 1000);
    await world.measurements[Symbol.asyncDispose]();
    assert.ok((world.host(host).lastQuote?.at ?? 0) > flushed);
    assert.equal(world.host(host).attestedAt, attestedAt);
    await world[Symbol.asyncDispose]();
  });

  it('go only to agents that answer them', async () => {
    const world = await measuringWorld();
    const host = measuredHost();
    await world.attestHost(host);
    const session = await world.open(host, { features: [] });
    await world.clock.pass(50_000, 10_000);
    assert.equal(session.ticks.length, 0);
    assert.equal(session.over, false);
    await session.say({ case: 'growth', value: { imaEntries: 7n } as never });
    assert.equal(session.over, false);
    await world[Symbol.asyncDispose]();
  });
});

describe('drift', () => {
  it('is told and withdrawn at once, and ends when the evidence is good again', async () => {
    const { world, host, session } = await live();
    host.run('/tmp/miner');
    await session.grow();
    assert.equal(world.host(host).state, 'drifted');
    assert.deepEqual(session.states(), [HostState.TRUSTED, HostState.DRIFTED]);
    assert.equal(session.received.filter(({ message }) => message.case === 'withdraw').length, 1);
    assert.deepEqual(
      world.events.flatMap((event) => (event.name === 'host_drifted' ? [event.reasons] : [])),
      [[{ code: 'file_unknown', message: 'runtime: nobody knows /tmp/miner' }]],
    );
    // An operator accepts it: nothing else has to happen.
    world.policies.set(inForce({ id: 'p2' }));
    await settle();
    assert.equal(world.host(host).state, 'trusted');
    assert.equal(session.states().at(-1), HostState.TRUSTED);
    assert.ok(world.events.some((event) => event.name === 'host_recovered' && event.state === 'trusted'));
    await world[Symbol.asyncDispose]();
  });

  it('that nobody announces is found by the next tick', async () => {
    const { world, host, session } = await live();
    host.run('/tmp/miner');
    await world.clock.pass(30_000, 1000);
    assert.equal(session.ticks.length, 1);
    await until('it is found', () => world.host(host).state === 'drifted');
    await world[Symbol.asyncDispose]();
  });

  it('a drifted host is asked on, and recovers over its session after a reboot without a new one', async () => {
    const { world, host, session } = await live();
    host.run('/tmp/miner');
    await session.grow();
    host.reboot();
    await world.clock.pass(30_000, 1000);
    assert.equal(world.host(host).state, 'trusted');
    assert.equal(session.over, false);
    await world[Symbol.asyncDispose]();
  });

  it('within a maintenance window is suspicion, judged again when the window ends', async () => {
    const from = 1_790_000_000_000;
    const until = from + 60_000;
    const { world, host, session } = await live(
      {},
      inForce({ forbidden: ['/tmp/miner'], maintenance: [{ from, until }] }),
    );
    host.run('/tmp/miner');
    await session.grow();
    assert.equal(world.host(host).state, 'suspect');
    assert.equal(world.host(host).reasons[0]?.code, 'maintenance');
    assert.equal(world.host(host).graceEndsAt, until);
    await world.clock.pass(until - world.clock.now());
    world.policies.tell();
    await settle();
    assert.equal(world.host(host).state, 'drifted');
    await world[Symbol.asyncDispose]();
  });

  it('a policy that reports withdraws nothing', async () => {
    const { world, host, session } = await live({}, inForce({ forbidden: ['/tmp/miner'], mode: 'report' }));
    host.run('/tmp/miner');
    await session.grow();
    assert.equal(world.host(host).state, 'unmeasured');
    assert.equal(world.host(host).appraisal?.components[0]?.result, 'fail');
    await world[Symbol.asyncDispose]();
  });
});

describe('clock and counters on a session', () => {
  it('a clock that falls makes the host suspect, and everything is read anew', async () => {
    const { world, host, session } = await live();
    host.chip.clock.clock = 1n;
    await session.grow();
    const known = world.host(host);
    assert.deepEqual([known.state, known.reasons[0]?.code], ['suspect', 'cloned-or-cleared']);
    assert.equal(world.appraiser.judged.at(-1)?.withState, false);
    assert.equal(session.over, false);
    assert.ok(world.events.some(({ name }) => name === 'host_suspect'));
    await world.clock.pass(30_000, 1000);
    assert.equal(world.appraiser.judged.at(-1)?.withState, true, 'and goes on from there');
    assert.equal(world.host(host).state, 'suspect', 'which no good evidence takes back');
    await world[Symbol.asyncDispose]();
  });

  it('an attestation that overtakes a tick is no fallen clock', async () => {
    const { world, host, session } = await live();
    const tick = await unanswered(session);
    const value = await host.answerTick(tick);
    await world.attestHost(host);
    await session.say({ case: 'evidence', value });
    assert.equal(world.host(host).state, 'trusted');
    await world[Symbol.asyncDispose]();
  });
});

describe('logs on a session', () => {
  it('bring what is new in parts', async () => {
    const { world, host, session } = await live();
    for (let n = 0; n < 30; n += 1) host.run(`/usr/bin/${n}`);
    host.partSize = 500;
    await session.grow();
    assert.ok(session.requests > 3);
    assert.equal(world.host(host).state, 'trusted');
    const latest = await world.measurements.archive.latest(world.host(host).id);
    assert.equal(latest?.record.logs.imaList, host.imaList.length);
    await world[Symbol.asyncDispose]();
  });

  it('that were cut short are read from the beginning, once, and then judged', async () => {
    const { world, host, session } = await live();
    const { length } = host.imaList;
    host.run('/usr/bin/two');
    await session.grow();
    host.imaList = host.imaList.subarray(0, length);
    await world.clock.pass(1000);
    await session.grow();
    assert.equal(world.host(host).state, 'drifted');
    assert.equal(world.host(host).reasons[0]?.code, 'pcr_unexplained');
    const judgements = world.appraiser.judged.length;
    await world.clock.pass(60_000, 1000);
    assert.equal(world.appraiser.judged.length, judgements, 'the same registers are not argued about again');
    assert.ok(world.measurements.lastEvidenceAt(world.host(host).id) > world.clock.now() - 31_000);
    await world[Symbol.asyncDispose]();
  });

  it('whose tail lies ahead of the quote keep it for the next one', async () => {
    const { world, host, session } = await live();
    const tick = await unanswered(session);
    const quoted = await host.answerTick(tick);
    const { length } = host.imaList;
    host.run('/usr/bin/late');
    const read = await host.answerTick(tick);
    await session.say({ case: 'evidence', value: { ...quoted, logs: read.logs } });
    const { id } = world.host(host);
    assert.equal((await world.measurements.archive.latest(id))?.record.logs.imaList, length);
    assert.equal(world.host(host).state, 'trusted');
    session.auto = true;
    await world.clock.pass(30_000, 1000);
    assert.equal((await world.measurements.archive.latest(id))?.record.logs.imaList, host.imaList.length);
    await world[Symbol.asyncDispose]();
  });

  it('tell which digests this boot measured', async () => {
    const { world, host, session } = await live();
    const { id } = world.host(host);
    assert.equal(world.measurements.isMeasured(id, '/usr/bin/one'), true);
    assert.equal(world.measurements.isMeasured(id, '/usr/bin/two'), false);
    host.run('/usr/bin/two');
    await session.grow();
    assert.equal(world.measurements.isMeasured(id, '/usr/bin/two'), true);
    assert.equal(world.measurements.isMeasured('00', '/usr/bin/two'), false);
    await world[Symbol.asyncDispose]();
  });
});
