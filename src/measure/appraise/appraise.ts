import type { ResolvedPolicy } from '../policy/model.js';
import { continuedState } from './continuity.js';
import type { Appraisal, Evidence } from './contract.js';
import { type AppraisalState, noBootLog, noImaList, noUserspaceLog } from './state.js';

/**
 * Judges what a host shows by a policy. Pure and deterministic: the same evidence, state and policy give the same verdict,
 * for ever and anywhere.
 * @throws TouchmarkError `evidence_boot_changed`, `evidence_offset`, `appraisal_policy_changed`
 */
export function appraise(
  evidence: Evidence,
  state: AppraisalState | undefined,
  policy: ResolvedPolicy | undefined,
): Appraisal<AppraisalState> {
  const under = { policyId: policy?.id ?? '', windows: '' };
  const before = continuedState(evidence, state, under);
  const { resetCount, restartCount, selection } = evidence.quote;
  const confirmed = { bootLog: 0, userspaceLog: 0, userspaceEvents: 0, imaList: 0, imaEntries: 0 };
  const newState: AppraisalState = before ?? {
    ...under,
    resetCount,
    restartCount,
    confirmed,
    bootLogSha256: '',
    bank: selection.bank,
    boot: noBootLog,
    userspace: noUserspaceLog,
    ima: noImaList(selection.bank),
  };
  const explanation = {
    policyId: under.policyId,
    policyName: policy?.policy.name ?? '',
    components: [],
    pcrs: [],
  };
  return { verdict: 'unmeasured', newState, explanation, confirmed: newState.confirmed };
}
