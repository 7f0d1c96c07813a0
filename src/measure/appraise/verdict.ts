import type { MeasurementPolicy } from '../policy/model.js';
import { ruleNames } from './components.js';
import type { ComponentAppraisal, MeasuredVerdict } from './contract.js';

/**
 * What follows from the components: the worst of what their rules say of a failure. In an enforcing policy what is not known
 * counts as failed. A policy that only reports decides nothing, so that its hosts are `unmeasured`, whatever it finds.
 */
export function verdictOf(
  policy: MeasurementPolicy | undefined,
  components: readonly ComponentAppraisal[],
): MeasuredVerdict {
  if (policy?.mode !== 'enforce' || components.length === 0) return 'unmeasured';
  const consequences = components
    .filter(({ result }) => result === 'fail' || result === 'unknown')
    .map(({ component }) => policy[ruleNames[component]]?.onFail ?? 'drift');
  if (consequences.includes('drift')) return 'drifted';
  return consequences.includes('suspect') ? 'suspect' : 'trusted';
}
