import assert from 'node:assert/strict';
import { test } from 'node:test';
import { appraiser } from '../../../src/server/measurements/appraiser.js';
import { createJudge } from '../../../src/server/measurements/judge.js';
import { realHost, realPcrs, realPolicy } from '../../fakes/real-host.js';
import { measuringWorld } from './world.js';

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
