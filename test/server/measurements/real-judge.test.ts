import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { hostSelectors } from '../../../src/server/hosts/selectors.js';
import { appraiser } from '../../../src/server/measurements/appraiser.js';
import type { InForce } from '../../../src/server/measurements/contract.js';
import { formatSelector } from '../../../src/spiffe/selector.js';
import type { Evidence } from '../../../src/wire/gen/touchmark/attest/v1/tpm_pb.js';
import { TickSchema } from '../../../src/wire/gen/touchmark/measure/v1/logs_pb.js';
import { inForce } from '../../fakes/fake-policies.js';
import { realHost, realPcrs, realPolicy } from '../../fakes/real-host.js';
import { allRules, goodReferences, resolved } from '../../support/appraisal-factory.js';
import { sha256 } from '../../support/appraisal-host.js';
import { measuringWorld } from './world.js';

const enforced = (): InForce => ({ group: inForce().group, policy: realPolicy() });

const withoutUserspaceRule = (): InForce => {
  const { userspace: _, ...rules } = allRules;
  return { group: inForce().group, policy: resolved(rules, [goodReferences]) };
};

async function realWorld() {
  const world = await measuringWorld({ judge: appraiser, config: { pcrs: realPcrs } });
  world.policies.set(enforced());
  return world;
}

describe('with the real judge', () => {
  it('a good host is trusted by all of its components, and stays so while it runs', async () => {
    await using world = await realWorld();
    const host = realHost();
    await world.attestHost(host);
    const known = world.host(host);
    assert.deepEqual(
      known.appraisal?.components.filter(({ result }) => result !== 'pass'),
      [],
    );
    assert.equal(known.state, 'trusted');
    const measured = hostSelectors(known)
      .map(formatSelector)
      .filter((text) => text.startsWith('measure:'));
    assert.deepEqual(measured, ['measure:policy:made', 'measure:secureboot', 'measure:uki:image 1']);
    const session = await world.open(host);
    await world.clock.pass(90_000, 1000);
    assert.equal(session.ticks.length, 3);
    assert.equal(session.over, false);
    assert.equal(world.host(host), known, 'nothing was written');
    assert.ok(world.measurements.isMeasured(known.id, sha256('/usr/bin/true')));
  });

  it('an unknown executable is drift, by its path', async () => {
    await using world = await realWorld();
    const host = realHost();
    await world.attestHost(host);
    const session = await world.open(host);
    host.run('/tmp/miner');
    await session.grow();
    assert.equal(world.host(host).state, 'drifted');
    assert.match(world.host(host).reasons[0]?.message ?? '', /^runtime: .*\/tmp\/miner/);
    host.reboot();
    await world.clock.pass(30_000, 1000);
    assert.equal(world.host(host).state, 'trusted');
  });

  it('a list that was shortened, a log that is hidden and a boot log that was changed are found', async () => {
    for (const lie of ['shorter', 'hidden', 'boot'] as const) {
      await using world = await realWorld();
      const host = realHost();
      await world.attestHost(host);
      const session = await world.open(host);
      if (lie === 'shorter') host.imaList = host.imaList.subarray(0, 120);
      if (lie === 'hidden') host.userspaceLog = undefined;
      if (lie === 'boot')
        host.bootLog = Buffer.concat([host.bootLog.subarray(0, 200), host.bootLog.subarray(260)]);
      await session.grow();
      assert.equal(session.over, false, lie);
      assert.notEqual(world.host(host).state, 'trusted', lie);
      assert.ok(world.host(host).reasons.length > 0, lie);
    }
  });

  it('a register that no log explains costs nothing, whatever values come with a quote', async () => {
    await using world = await realWorld();
    // Somebody measures into PCR 15, and no rule of the policy is about it.
    world.policies.set(withoutUserspaceRule());
    const host = realHost();
    host.chip.extend('sha256', 15, Buffer.alloc(32, 1));
    const moved = (without: number[]) => ({
      evidence: (evidence: Evidence) => ({
        ...evidence,
        pcrValues: evidence.pcrValues.filter(({ index }) => !without.includes(index)),
      }),
    });
    await world.attest(await host.attesting(moved([10])));
    assert.equal(world.host(host).state, 'trusted');
    const session = await world.open(host);
    for (const without of [[], [10], [10, 11], 'all'] as const) {
      host.run('/usr/bin/true');
      session.change = { without };
      await session.grow();
      await world.clock.pass(1000, 1000);
      assert.equal(world.host(host).state, 'trusted', String(without));
      const kept = await world.measurements.archive.latest(world.host(host).id);
      assert.equal(Object.keys(kept?.record.pcrValues ?? {}).length, realPcrs.length, String(without));
    }
  });

  it('values are asked for until they came, and not again before a register moves', async () => {
    await using world = await realWorld();
    const host = realHost();
    await world.attestHost(host);
    const session = await world.open(host);
    const asksFor = async () => {
      await world.clock.pass(30_000, 1000);
      const { knownPcrDigest } = fromBinary(TickSchema, session.ticks.at(-1) ?? assert.fail());
      return knownPcrDigest.length === 0;
    };
    assert.equal(await asksFor(), false, 'the attestation brought them');
    session.change = { without: 'all' };
    assert.equal(await asksFor(), false);
    assert.equal(session.over, false);
    assert.equal(world.host(host).state, 'trusted');
  });

  it('what is kept is judged alike by itself', async () => {
    await using world = await realWorld();
    const host = realHost();
    await world.attestHost(host);
    const session = await world.open(host);
    host.run('/tmp/miner');
    await session.grow();
    const { id, appraisal } = world.host(host);
    const archived = await world.measurements.archive.get(id, appraisal?.evidenceId ?? '');
    assert.ok(archived !== undefined);
    const again = appraiser.appraise(
      archived.evidence,
      undefined,
      world.policies.policyFor({ id, labels: {} })?.policy,
    );
    assert.equal(again.verdict, 'drifted');
    assert.deepEqual(again.explanation.components, appraisal?.components);
    assert.deepEqual(archived.record.components, appraisal?.components);
  });

  it('a list of a megabyte is judged by another thread, to the same end', async () => {
    await using world = await realWorld();
    const host = realHost();
    for (let n = 0; n < 3000; n += 1) host.run(`/opt/vendor/${'x'.repeat(60)}/${n}`);
    assert.ok(host.imaList.length > 300_000);
    const error = await world.attestHost(host).then(
      () => assert.fail('it runs what nobody knows'),
      (reason: Error) => reason,
    );
    assert.match(error.message, /has drifted from its policy: runtime: /);
    const runtime = world.host(host).appraisal?.components.find(({ component }) => component === 'runtime');
    assert.ok((runtime?.more ?? 0) > 2900);
    assert.ok(world.measurements.isMeasured(world.host(host).id, sha256('/usr/bin/true')));
  });
});
