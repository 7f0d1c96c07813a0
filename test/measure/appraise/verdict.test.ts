import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ComponentAppraisal, ComponentResult } from '../../../src/measure/appraise/contract.js';
import { isAsStrict } from '../../../src/measure/appraise/strictness.js';
import { verdictOf } from '../../../src/measure/appraise/verdict.js';
import type { ComponentName, MeasurementPolicy, OnFail } from '../../../src/measure/policy/model.js';

const said = (component: ComponentName, result: ComponentResult): ComponentAppraisal => ({
  ...{ component, result },
  ...{ reasons: [], more: 0, checked: 1 },
});
const policy = (firmware: OnFail, runtime: OnFail, mode: 'enforce' | 'report' = 'enforce') =>
  ({ mode, firmware: { onFail: firmware }, runtime: { onFail: runtime } }) as unknown as MeasurementPolicy;

test('the worst consequence of what failed, or is not known, is the verdict', () => {
  const rows: [OnFail, ComponentResult, OnFail, ComponentResult, string][] = [
    ['drift', 'pass', 'drift', 'warn', 'trusted'],
    ['drift', 'fail', 'warn', 'pass', 'drifted'],
    ['drift', 'unknown', 'warn', 'pass', 'drifted'],
    ['suspect', 'unknown', 'warn', 'fail', 'suspect'],
    ['suspect', 'fail', 'drift', 'unknown', 'drifted'],
    ['warn', 'fail', 'warn', 'unknown', 'trusted'],
  ];
  for (const [firmware, first, runtime, second, verdict] of rows) {
    const components = [said('firmware', first), said('runtime', second)];
    assert.equal(verdictOf(policy(firmware, runtime), components), verdict, `${first} ${second}`);
    assert.equal(verdictOf(policy(firmware, runtime, 'report'), components), 'unmeasured');
  }
});

test('without a policy, or where nothing was judged, a host is unmeasured and never trusted', () => {
  assert.equal(verdictOf(undefined, [said('firmware', 'pass')]), 'unmeasured');
  assert.equal(verdictOf(policy('drift', 'drift'), []), 'unmeasured');
});

test('a rule answers for another one only where it exists and is no milder', () => {
  const rules = ['warn', 'suspect', 'drift'] as const;
  for (const [at, onFail] of rules.entries())
    for (const [than, as] of rules.entries())
      assert.equal(isAsStrict({ onFail }, { onFail: as }), at >= than);
  assert.equal(isAsStrict(undefined, { onFail: 'warn' }), false);
  assert.equal(
    isAsStrict({ onFail: 'suspect' }, undefined),
    false,
    'what has no rule counts as the strictest',
  );
  assert.equal(isAsStrict({ onFail: 'drift' }, undefined), true);
});
