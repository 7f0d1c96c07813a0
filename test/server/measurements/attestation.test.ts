import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import type { TouchmarkError } from '../../../src/errors.js';
import { errorToStatus } from '../../../src/rpc/error-status.js';
import { formatSelector } from '../../../src/spiffe/selector.js';
import { StatusSchema } from '../../../src/wire/gen/google/rpc/status_pb.js';
import { ReasonSchema } from '../../../src/wire/gen/touchmark/host/v1/state_pb.js';
import { inForce } from '../../fakes/fake-policies.js';
import { measuredHost } from '../../fakes/measured-host.js';
import { rejectsCode } from '../../support/rejects-async.js';
import { type MeasuringWorld, measuringWorld } from './world.js';

const forbidden = inForce({ forbidden: ['/tmp/miner'] });

describe('attestation of a measured host', () => {
  it('without a policy records what it showed, and calls it unmeasured', async () => {
    await using world = await measuringWorld();
    const host = measuredHost();
    host.run('/usr/bin/nginx');
    await world.attestHost(host);
    const known = world.host(host);
    assert.equal(known.state, 'unmeasured');
    assert.equal(known.appraisal?.verdict, 'unmeasured');
    const [record, ...more] = await world.measurements.archive.history(known.id, 10);
    assert.equal(more.length, 0);
    assert.equal(record?.id, known.appraisal?.evidenceId);
    assert.deepEqual(record?.logs, {
      bootLog: host.bootLog.length,
      userspaceLog: -1,
      imaList: host.imaList.length,
    });
    assert.deepEqual(record?.absent, { 'userspace-log': 'no systemd' });
    assert.equal(record?.asked.by, 'attestation');
  });

  it('with a policy that it meets makes it trusted, with selectors that say so', async () => {
    await using world = await measuringWorld();
    world.policies.set(forbidden);
    const host = measuredHost();
    await world.attestHost(host);
    const known = world.host(host);
    assert.equal(known.state, 'trusted');
    assert.ok(firstNode(world).selectors.map(formatSelector).includes('measure:policy:web'));
    assert.deepEqual(
      [known.appraisal?.policyId, known.appraisal?.policyName, known.appraisal?.group],
      ['p1', 'web', 'all'],
    );
  });

  it('is refused where its evidence fails, by name and with reasons, and what it showed is kept', async () => {
    await using world = await measuringWorld();
    world.policies.set(forbidden);
    const host = measuredHost();
    host.run('/tmp/miner');
    const error = await rejectsCode(
      'host_drifted',
      /runtime: nobody knows \/tmp\/miner$/,
      world.attestHost(host),
    );
    assert.deepEqual(reasonsIn(error), [
      { code: 'file_unknown', message: 'runtime: nobody knows /tmp/miner' },
    ]);
    assert.equal(world.certified.length, 0);
    const known = world.host(host);
    assert.equal(known.state, 'drifted');
    assert.equal((await world.measurements.archive.latest(known.id))?.record.verdict, 'drifted');
    assert.deepEqual(
      world.events.map(({ name }) => name),
      ['host_enrolled', 'host_drifted'],
    );
  });

  it('recovers by attesting with good evidence', async () => {
    await using world = await measuringWorld();
    world.policies.set(forbidden);
    const host = measuredHost();
    host.run('/tmp/miner');
    await rejectsCode('host_drifted', /nobody knows/, world.attestHost(host));
    host.reboot();
    await world.attestHost(host);
    assert.equal(world.host(host).state, 'trusted');
    assert.ok(world.events.some(({ name }) => name === 'host_recovered'));
  });

  it('a node that was let in before loses its selectors with the refusal, and nothing is signed', async () => {
    await using world = await measuringWorld();
    world.policies.set(forbidden);
    const host = measuredHost();
    await world.attestHost(host);
    host.run('/tmp/miner');
    await rejectsCode('host_drifted', /nobody knows/, world.attestHost(host));
    const node = firstNode(world);
    assert.ok(!node.selectors.map(formatSelector).some((text) => text.startsWith('measure:')));
    assert.equal(node.attestationNumber, 1);
    assert.equal(world.certified.length, 1);
  });

  it('asks only for what is new of the boot that it knows', async () => {
    await using world = await measuringWorld();
    const host = measuredHost();
    host.run('/usr/bin/one');
    await world.attestHost(host);
    host.run('/usr/bin/two');
    const before = { ...host.sent };
    await world.attestHost(host);
    assert.equal(host.sent.boot, before.boot);
    assert.equal(host.sent.ima, host.imaList.length);
    assert.deepEqual(
      world.appraiser.judged.map(({ withState }) => withState),
      [false, true],
    );
    const latest = await world.measurements.archive.latest(world.host(host).id);
    const list = latest?.evidence.logs['ima-list'];
    assert.ok(list?.kind === 'bytes' && host.imaList.equals(list.bytes));
  });

  it('reads everything anew after a reboot, though the boot log is the same', async () => {
    await using world = await measuringWorld();
    world.policies.set(forbidden);
    const host = measuredHost();
    host.run('/usr/bin/one');
    await world.attestHost(host);
    host.reboot();
    await world.attestHost(host);
    assert.equal(world.host(host).state, 'trusted');
    const [now, then] = await world.measurements.archive.history(world.host(host).id, 10);
    assert.notEqual(now?.boot, then?.boot);
    assert.equal(now?.logs.imaList, host.imaList.length);
  });

  it('pulls a long list part by part', async () => {
    await using world = await measuringWorld();
    world.policies.set(forbidden);
    const host = measuredHost();
    for (let n = 0; n < 50; n += 1) host.run(`/usr/bin/${n}`);
    host.partSize = 700;
    await world.attestHost(host);
    assert.equal(world.host(host).state, 'trusted');
    const latest = await world.measurements.archive.latest(world.host(host).id);
    assert.equal(latest?.record.logs.imaList, host.imaList.length);
  });

  it('refuses a list that comes byte by byte, and one that is answered out of place', async () => {
    await using world = await measuringWorld();
    const host = measuredHost();
    for (let n = 0; n < 5; n += 1) host.run(`/usr/bin/${n}`);
    host.partSize = 1;
    const tooMany = /^the logs come in more than 200 parts$/;
    await rejectsCode('evidence_invalid', tooMany, world.attestHost(host));
    host.partSize = 100;
    const { part } = host;
    host.part = (request) => ({ ...part(request), offset: 3n });
    const misplaced = /^part 3 of the ima-list came where 100 of the ima-list was asked for$/;
    await rejectsCode('evidence_invalid', misplaced, world.attestHost(host));
  });

  it('an agent that sends no logs is told apart from one that hides them', async () => {
    await using world = await measuringWorld();
    world.policies.set(forbidden);
    const host = measuredHost();
    const old = await host.attesting({ hello: (hello) => hello });
    await rejectsCode('host_drifted', /does not give PCR 10/, world.attest(old));
    const [record] = await world.measurements.archive.history(world.host(host).id, 1);
    assert.equal(record?.absent['ima-list'], 'the agent is of a version that sends no logs');
  });

  it('a chip that waits for an operator is asked for no logs', async () => {
    await using world = await measuringWorld({ config: { enrol: 'approval' } });
    const host = measuredHost();
    const challenges: number[] = [];
    const agent = await host.attesting({
      challenge(challenge) {
        challenges.push(challenge.logs.length);
        return challenge;
      },
    });
    await rejectsCode('enrolment_pending', /waits for an operator/, world.attest(agent));
    assert.deepEqual(challenges, [0]);
  });

  it('a cleared chip is suspect whatever it shows, and starts again from full logs', async () => {
    await using world = await measuringWorld();
    world.policies.set(forbidden);
    const host = measuredHost();
    host.chip.clock.resetCount = 7;
    await world.attestHost(host);
    host.chip.clear();
    await world.attestHost(host);
    const known = world.host(host);
    assert.deepEqual(
      [known.state, known.reasons.map(({ code }) => code), known.appraisal?.verdict],
      ['suspect', ['cloned-or-cleared'], 'trusted'],
    );
    assert.equal(world.appraiser.judged.at(-1)?.withState, false);
  });

  it('a list that was cut short is read once more, and then believed to be what it is', async () => {
    await using world = await measuringWorld();
    world.policies.set(forbidden);
    const host = measuredHost();
    host.run('/usr/bin/one');
    await world.attestHost(host);
    host.run('/tmp/miner');
    const honest = host.imaList;
    host.imaList = honest.subarray(0, honest.length - 10);
    await rejectsCode('host_drifted', /does not give PCR 10/, world.attestHost(host));
    assert.deepEqual(
      world.appraiser.judged.map(({ withState }) => withState),
      [false, true, false],
    );
    host.imaList = honest;
    await rejectsCode('host_drifted', /nobody knows \/tmp\/miner/, world.attestHost(host));
  });

  it('goes on from the archive after the server was restarted', async () => {
    const first = await measuringWorld();
    const host = measuredHost();
    host.run('/usr/bin/one');
    await first.attestHost(host);
    await using world = await measuringWorld({ before: first });
    host.run('/usr/bin/two');
    await world.attestHost(host);
    assert.deepEqual(
      world.appraiser.judged.map(({ withState }) => withState),
      [false, true],
      'what is kept, then what is new',
    );
    assert.equal(host.sent.boot, host.bootLog.length);
  });

  it('evidence that cannot be judged refuses the attestation and changes nothing', async () => {
    await using world = await measuringWorld();
    const host = measuredHost();
    world.appraiser.failNext = new Error('a fault');
    const fault = /^evidence cannot be judged: a fault$/;
    await rejectsCode('evidence_unjudged', fault, world.attestHost(host));
    assert.equal([...world.registry.hosts()].length, 0);
    await world.attestHost(host);
  });
});

function firstNode(world: MeasuringWorld) {
  const [node] = [...world.registry.nodes()];
  if (node === undefined) throw new Error('no node attested');
  return node;
}

function reasonsIn(error: TouchmarkError) {
  const [trailer] = errorToStatus(error, '1').metadata.get('grpc-status-details-bin');
  const { details } = fromBinary(StatusSchema, trailer as Buffer);
  return details.flatMap((detail) => {
    const reason = anyUnpack(detail, ReasonSchema);
    return reason === undefined ? [] : [{ code: reason.code, message: reason.message }];
  });
}
