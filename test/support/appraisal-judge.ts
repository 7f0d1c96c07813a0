/** Judging a made host in one line, and what came of one component. */
import assert from 'node:assert/strict';
import { appraise } from '../../src/measure/appraise/appraise.js';
import type { Appraisal, ComponentAppraisal } from '../../src/measure/appraise/contract.js';
import { remedyOf } from '../../src/measure/appraise/reasons.js';
import type { AppraisalState } from '../../src/measure/appraise/state.js';
import type { ComponentName, MeasurementPolicy, ReferenceSet } from '../../src/measure/policy/model.js';
import { allRules, goodHost, goodReferences, resolved } from './appraisal-factory.js';
import { type MadeHost, measure } from './appraisal-host.js';

/** A good host with changes, under a policy with changes. */
export function judge(
  host: Partial<MadeHost>,
  rules: Partial<MeasurementPolicy> = {},
  ...references: readonly ReferenceSet[]
): Appraisal<AppraisalState> {
  const { evidence } = measure({ ...goodHost, ...host });
  const sets = references.length > 0 ? references : [goodReferences];
  return appraise(evidence, undefined, resolved({ ...allRules, ...rules }, sets));
}

/** For `judge`: a policy without these rules. */
export function without(...names: readonly (keyof typeof allRules)[]): Partial<MeasurementPolicy> {
  return Object.fromEntries(names.map((name) => [name, undefined]));
}

export function componentOf(
  { explanation }: Pick<Appraisal, 'explanation'>,
  name: ComponentName,
): ComponentAppraisal {
  const found = explanation.components.find(({ component }) => component === name);
  assert.ok(found, `${name} was not judged`);
  return found;
}

/** The codes of a component; each must have a remedy. */
export function codesOf(result: Pick<Appraisal, 'explanation'>, name: ComponentName): string[] {
  const { reasons } = componentOf(result, name);
  for (const { code, message } of reasons) {
    assert.notEqual(remedyOf(code), '', `${code} has no remedy`);
    assert.match(message, /^[^\n]+$/, code);
  }
  return reasons.map(({ code }) => code);
}

/** Which components did not pass, with the codes of each. */
export function faults(result: Pick<Appraisal, 'explanation'>): Record<string, string[]> {
  const bad = result.explanation.components.filter((one) => one.result !== 'pass');
  return Object.fromEntries(bad.map(({ component }) => [component, codesOf(result, component)]));
}
