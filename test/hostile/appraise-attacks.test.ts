import assert from 'node:assert/strict';
import { test } from 'node:test';
import { appraise } from '../../src/measure/appraise/appraise.js';
import type { ComponentAppraisal, Evidence, MeasuredVerdict } from '../../src/measure/appraise/contract.js';
import { verdictOf } from '../../src/measure/appraise/verdict.js';
import type {
  ComponentName,
  MeasurementPolicy,
  OnFail,
  ResolvedPolicy,
} from '../../src/measure/policy/model.js';
import { allRules, goodHost, goodReferences, referenceSet, resolved } from '../support/appraisal-factory.js';
import { measure, withLogs, withoutValues } from '../support/appraisal-host.js';
import { evils, GRUB_LINE, lies, measured } from './evil-hosts.js';

type Rules = Partial<MeasurementPolicy>;
type RuleName = keyof typeof allRules;

/** Those that look into each other's places. */
const hiding: readonly RuleName[] = ['bootChain', 'commandLine', 'userspace', 'runtime'];
const names = Object.keys(allRules) as RuleName[];
const strict: Rules = Object.fromEntries(
  Object.entries(allRules).map(([name, rule]) => [name, { ...rule, onFail: 'drift' }]),
);
const sets = [{ ...goodReferences, commandLines: [GRUB_LINE] }, referenceSet()];

/** Rules as they are, without some of them, and with some that ask for less. */
function* variants(): Generator<[string, Rules]> {
  yield ['all', strict];
  yield ['as in the examples', allRules];
  for (const name of names) {
    yield [`only ${name}`, { [name]: strict[name] } as Rules];
    const { [name]: _, ...others } = strict;
    yield [`all but ${name}`, others];
    for (const onFail of ['warn', 'suspect'] as const satisfies OnFail[]) {
      yield [`${name} ${onFail}`, { ...strict, [name]: { ...allRules[name], onFail } }];
    }
    for (const other of !hiding.includes(name) ? [] : hiding.slice(hiding.indexOf(name) + 1)) {
      yield [`only ${name} and ${other}`, { [name]: strict[name], [other]: strict[other] } as Rules];
    }
  }
  yield ['kexec', { ...strict, bootChain: { ...allRules.bootChain, kexec: true } }];
  const runtime = { ...allRules.runtime, exclude: ['/var/log/**', '**/excluded/**'] };
  yield ['exclusions', { ...strict, runtime }];
  yield ['exclusions and kexec', { ...strict, bootChain: { ...allRules.bootChain, kexec: true }, runtime }];
}

const policies: [string, ResolvedPolicy][] = [...variants()].map(([name, rules]) => [
  name,
  resolved(rules, sets),
]);
const rank: readonly MeasuredVerdict[] = ['trusted', 'suspect', 'drifted'];

/** What the components that an evil concerns come to. */
function found(
  evidence: Evidence,
  policy: ResolvedPolicy,
  concerns: readonly ComponentName[],
): MeasuredVerdict {
  const { components } = appraise(evidence, undefined, policy).explanation;
  return verdictOf(policy.policy, [
    passing,
    ...components.filter(({ component }) => concerns.includes(component)),
  ]);
}

const passing: ComponentAppraisal = {
  component: 'firmware',
  result: 'pass',
  reasons: [],
  more: 0,
  checked: 1,
};

test('the good host is trusted by all policies', () => {
  const { evidence } = measure(goodHost);
  for (const [name, policy] of policies) {
    assert.equal(appraise(evidence, undefined, policy).verdict, 'trusted', name);
  }
});

for (const evil of evils) {
  test(`a host that measured ${evil.name} is never better off by a lie in its logs`, () => {
    const host = measured(evil);
    const told = [...lies(evil, host)].map(({ name, logs }) => ({
      name,
      evidence: withLogs(host.evidence, logs),
    }));
    const finding = policies.flatMap(([name, policy]) => {
      const truth = found(host.evidence, policy, evil.concerns);
      return truth === 'trusted' ? [] : [{ name, policy, truth }];
    });
    assert.ok(finding.length >= 3, `only ${finding.length} policies find it`);
    for (const { name, policy, truth } of finding) {
      for (const lie of told) {
        const { verdict } = appraise(lie.evidence, undefined, policy);
        assert.ok(
          rank.indexOf(verdict) >= rank.indexOf(truth),
          `${lie.name}, policy ${name}: ${verdict}, not ${truth}`,
        );
      }
    }
    // Where only the digest over all registers is known, prefixes of the logs are tried.
    const [strictest] = policies;
    for (const lie of told) {
      const { verdict } = appraise(withoutValues(lie.evidence), undefined, strictest?.[1]);
      assert.equal(verdict, 'drifted', `${lie.name}, without values`);
    }
  });
}
