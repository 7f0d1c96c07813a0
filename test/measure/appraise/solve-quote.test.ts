import assert from 'node:assert/strict';
import { test } from 'node:test';
import { appraise } from '../../../src/measure/appraise/appraise.js';
import { allRules, goodHost, goodReferences, resolved } from '../../support/appraisal-factory.js';
import { measure, withoutValues } from '../../support/appraisal-host.js';

const policy = resolved(allRules, [goodReferences]);
const late = measure(goodHost);

test('a register that nothing explains is told as one, also where only the others are known', () => {
  const ofTheLogs = { quotedEntries: 2, quotedRecords: 3 };
  const made = measure({ ...goodHost, ...ofTheLogs, tamper: (pcrs) => pcrs.set(15, Buffer.alloc(32, 7)) });
  const known = appraise(made.evidence, undefined, policy);
  assert.ok(known.explanation.pcrs.some(({ pcr, explained }) => pcr === 15 && !explained));
  const hinted = (hints: ReadonlyMap<number, Uint8Array>) =>
    appraise({ ...withoutValues(made.evidence), hints }, undefined, policy);
  const without = (...moved: number[]) => new Map([...made.pcrs].filter(([pcr]) => !moved.includes(pcr)));
  assert.deepEqual(hinted(without(10)), known);
  assert.deepEqual(hinted(without(10, 11)), known);
  // A hint proves nothing by itself, and hints that are wrong leave what the logs alone can say.
  assert.equal(hinted(without(10, 15)).explanation.pcrs[0]?.quoted, '');
  const wrong = new Map([[4, Buffer.alloc(32, 1)]]);
  assert.deepEqual(
    appraise({ ...withoutValues(late.evidence), hints: wrong }, undefined, policy),
    appraise(late.evidence, undefined, policy),
  );
});
