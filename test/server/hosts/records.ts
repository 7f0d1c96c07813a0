import type { HostChange } from '../../../src/server/hosts/state.js';
import type { AppraisalRecord, Host, HostState, Node, Reason } from '../../../src/server/model.js';
import { makeSpiffeId, parseTrustDomain } from '../../../src/spiffe/id.js';

export const now = 1_790_000_000_000;
export const domain = parseTrustDomain('example.org');

export function hostIn(state: HostState, change: Partial<Host> = {}): Host {
  return {
    id: 'ab',
    name: '',
    labels: {},
    eks: [],
    state,
    stateSince: now - 1000,
    reasons: [],
    graceEndsAt: state === 'suspect' ? now + 1000 : 0,
    akName: '',
    attestationNumber: 1,
    enrolledBy: 'allow-list by uid 0',
    enrolledAt: now - 1000,
    ...change,
  };
}

export function nodeOf(attestationType: string, change: Partial<Node> = {}): Node {
  return {
    id: makeSpiffeId(domain, `/spire/agent/${attestationType}/ab`),
    attestationType,
    selectors: [],
    serial: '01',
    nextSerial: '',
    svidExpiresAt: 0,
    canReattest: true,
    banned: false,
    agentVersion: '',
    attestationNumber: 1,
    ...(attestationType === 'tpm' ? { hostId: 'ab' } : {}),
    ...change,
  };
}

export const reason = { code: 'test', message: 'because of a test' };

export const verdicts = ['trusted', 'suspect', 'drifted', 'unmeasured'] as const;

export function judgement(
  verdict: AppraisalRecord['verdict'],
  components?: AppraisalRecord['components'],
): AppraisalRecord {
  const failed = {
    component: 'runtime',
    result: 'fail',
    reasons: [{ code: 'file_unknown', message: 'nobody knows /tmp/x' }],
    more: 0,
    checked: 1,
  } as const;
  const base = { since: now, at: now, evidenceId: '01', policyId: 'ff', policyName: 'web', group: 'all' };
  return { ...base, verdict, components: components ?? (verdict === 'trusted' ? [] : [failed]) };
}

export function appraised(
  verdict: AppraisalRecord['verdict'],
  maintenanceUntil = 0,
  suspicions: readonly Reason[] = [],
): HostChange & { kind: 'appraised' } {
  const judged = { appraisal: judgement(verdict), maintenanceUntil };
  return { kind: 'appraised', suspicions, graceMs: 5000, judged };
}
