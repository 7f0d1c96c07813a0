import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Appraisal, Evidence } from '../../../src/measure/appraise/contract.js';
import { appraiser } from '../../../src/server/measurements/appraiser.js';
import { createJudge } from '../../../src/server/measurements/judge.js';
import { realHost, realPcrs, realPolicy } from '../../fakes/real-host.js';
import { goodHost } from '../../support/appraisal-factory.js';
import { measure, whole, withLogs, withoutValues } from '../../support/appraisal-host.js';
import { measuringWorld } from './world.js';

const KIB = 1024;
const { evidence } = measure(goodHost);
const bytes = (kib: number) => whole(Buffer.alloc(kib * KIB));

/** A list that another thread judges. */
async function longEvidence() {
  await using world = await measuringWorld({ judge: appraiser, config: { pcrs: realPcrs } });
  const host = realHost();
  for (let n = 0; n < 3000; n += 1) host.run(`/opt/vendor/${'x'.repeat(60)}/${n}`);
  await world.attestHost(host);
  const archived = await world.measurements.archive.latest(world.host(host).id);
  return archived?.evidence ?? assert.fail('nothing is archived');
}

test('each policy crosses to the thread once, and one that was forgotten there again', async () => {
  const evidence = await longEvidence();
  await using judge = createJudge(appraiser);
  const policies = Array.from({ length: 25 }, (_, n) => ({ ...realPolicy(), id: `p${n}` }));
  const asked = [...policies, ...policies.slice(0, 3), undefined, policies[24]];
  const judged = await Promise.all(asked.map((policy) => judge.judge(evidence, undefined, policy)));
  assert.deepEqual(
    judged.map(({ explanation }) => explanation.policyId),
    asked.map((policy) => policy?.id ?? ''),
  );
  // One that has crossed is not copied again: with this in it, it could not be.
  Object.assign(policies[24] ?? {}, { uncopied: () => {} });
  const other = { ...policies[24] } as never;
  for (let n = 0; n < 2; n += 1) {
    const message = /^evidence cannot be judged: .* could not be cloned/;
    await assert.rejects(judge.judge(evidence, undefined, other), { code: 'evidence_unjudged', message });
  }
  assert.equal((await judge.judge(evidence, undefined, policies[24])).verdict, 'drifted');
});

test('what may take long is judged in a thread, whichever log it is that makes it long', async () => {
  let here = 0;
  await using judge = createJudge({
    appraise: () => {
      here++;
      return {} as Appraisal;
    },
  });
  const rows: [string, Evidence, boolean][] = [
    ['small logs', evidence, true],
    ['a list', withLogs(evidence, { 'ima-list': bytes(200) }), true],
    ['a long list', withLogs(evidence, { 'ima-list': bytes(300) }), false],
    ['a long boot log', withLogs(evidence, { 'boot-log': bytes(100) }), false],
    ['a long userspace log', withLogs(evidence, { 'userspace-log': bytes(100) }), false],
    [
      'all together',
      withLogs(evidence, { 'boot-log': bytes(30), 'userspace-log': bytes(30), 'ima-list': bytes(100) }),
      false,
    ],
    ['a list to be searched', withoutValues(withLogs(evidence, { 'ima-list': bytes(20) })), false],
    ['records to be searched', withoutValues(withLogs(evidence, { 'userspace-log': bytes(10) })), false],
  ];
  for (const [name, one, isHere] of rows) {
    here = 0;
    const { verdict } = await judge.judge(one, undefined, undefined);
    assert.equal(here, isHere ? 1 : 0, name);
    assert.equal(verdict, isHere ? undefined : 'unmeasured', name);
  }
});
