import type { ComponentName, ResolvedPolicy } from '../policy/model.js';
import { isBootLogConfirmed } from './boot-part.js';
import { type Compared, compareLogs, isUnderPolicy } from './compare-logs.js';
import { compilePolicy, openWindows } from './compile.js';
import { appraiseComponents } from './components.js';
import { continuedState } from './continuity.js';
import type { Appraisal, ComponentAppraisal, Confirmed, Evidence } from './contract.js';
import type { AppraisalState } from './state.js';
import { verdictOf } from './verdict.js';

/**
 * Judges what a host shows by a policy. Pure and deterministic: the same evidence, state and policy give the same verdict,
 * for ever and anywhere. The quote must have been verified; the logs are claims, and count as far as they give its registers:
 * of a log that grew meanwhile, the first prefix that does. What follows it is neither judged nor confirmed.
 * Without a policy the logs are replayed and remembered all the same, and the verdict is `unmeasured`.
 * @throws TouchmarkError `evidence_boot_changed`, `evidence_offset`, `appraisal_policy_changed`, `quote_pcr_values`
 */
export function appraise(
  evidence: Evidence,
  state: AppraisalState | undefined,
  policy: ResolvedPolicy | undefined,
): Appraisal<AppraisalState> {
  const under = { policyId: policy?.id ?? '', windows: openWindows(policy, evidence.at) };
  const before = continuedState(evidence, state, under);
  const compiled = policy && compilePolicy(policy, under.windows);
  const compared = compareLogs(evidence, before, compiled);
  const components = isUnderPolicy(compared) ? appraiseComponents(compared) : [];
  const confirmed = confirmedOf(compared);
  const { bank, boot, userspace, ima, registers } = compared;
  const newState: AppraisalState = {
    policyId: under.policyId,
    windows: under.windows,
    resetCount: evidence.quote.resetCount,
    restartCount: evidence.quote.restartCount,
    confirmed,
    bank,
    boot,
    userspace,
    ima,
    bootLogSha256: boot.sha256,
  };
  const policyName = policy?.policy.name ?? '';
  const explanation = { policyId: under.policyId, policyName, components, pcrs: registers };
  const ukis = isGood('boot-chain', components) ? boot.ukis : [];
  return { verdict: verdictOf(policy?.policy, components), newState, explanation, confirmed, ukis };
}

/** Then every register of the component is quoted, and the logs explain it. */
function isGood(name: ComponentName, components: readonly ComponentAppraisal[]): boolean {
  return components.some(
    ({ component, result }) => component === name && (result === 'pass' || result === 'warn'),
  );
}

function confirmedOf({ boot, userspace, ima, registers }: Compared): Confirmed {
  return {
    bootLog: isBootLogConfirmed(boot, registers) ? boot.length : 0,
    userspaceLog: userspace.bytes,
    userspaceEvents: userspace.events,
    imaList: ima.bytes,
    imaEntries: ima.entries,
  };
}
