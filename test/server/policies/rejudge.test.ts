import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openRejudge } from '../../../src/server/policies/rejudge.js';
import { allRules, goodHost, goodReferences, resolved } from '../../support/appraisal-factory.js';
import { file, measure } from '../../support/appraisal-host.js';

test('evidence is judged in the thread as it is anywhere, under several policies at once', async () => {
  await using rejudge = openRejudge();
  const [good, evil] = [{}, { ima: [...goodHost.ima, file('/tmp/evil')] }].map(
    (change) => measure({ ...goodHost, ...change }).evidence,
  );
  assert.ok(good && evil);
  const strict = resolved(allRules, [goodReferences]);
  const reporting = resolved({ ...allRules, mode: 'report' }, [goodReferences]);
  const judged = await Promise.all([
    rejudge.judge(good, strict),
    rejudge.judge(evil, strict),
    rejudge.judge(evil, reporting),
  ]);
  assert.deepEqual(
    judged.map(({ verdict }) => verdict),
    ['trusted', 'drifted', 'unmeasured'],
  );
  assert.deepEqual(judged[0]?.ukis, ['image 1']);
});

test('a policy that the thread was given is known to the one that follows it too', async () => {
  await using rejudge = openRejudge();
  const { evidence } = measure(goodHost);
  const policy = resolved(allRules, [goodReferences]);
  const first = rejudge.judge(evidence, policy);
  const uncloneable = rejudge.judge({ ...evidence, at: (() => 0) as never }, policy);
  const last = rejudge.judge(evidence, policy);
  await assert.rejects(uncloneable, /could not be cloned/);
  assert.deepEqual([(await first).verdict, (await last).verdict], ['trusted', 'trusted']);
});
