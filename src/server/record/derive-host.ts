import type { AllowedEk, AppraisalRecord, Host, Reason } from '../model.js';
import type { Change } from './derive.js';
import { changedMembers, draft } from './draft.js';
import type { EventDraft } from './model.js';

/** What an operator or the chip gives a host; the rest of it is what was observed. */
const facts = ['name', 'labels', 'akName', 'eks', 'enrolledBy'] as const;

export function deriveHost({ key, before, after }: Change<Host>): EventDraft[] {
  if (before === undefined) return after === undefined ? [] : enrolled(key, after);
  if (after === undefined) return [draft('host_forgotten', key, { name: before.name, state: before.state })];
  return [
    ...changed(key, before, after),
    ...rebooted(key, before, after),
    ...judged(key, before.appraisal, after),
    ...stateOf(key, before, after),
  ];
}

export function deriveAllowed({ key, before, after }: Change<AllowedEk>): EventDraft[] {
  if (after === undefined) return [draft('host_allowance_removed', key, { name: before?.name })];
  return [draft('host_allowed', key, { name: after.name, labels: labelsOf(after.labels) })];
}

function enrolled(key: string, host: Host): EventDraft[] {
  const event = draft('host_enrolled', key, {
    name: host.name,
    labels: labelsOf(host.labels),
    state: host.state,
    enrolled_by: host.enrolledBy,
    eks: host.eks.map(({ hash }) => hash),
    ak_name: host.akName,
  });
  return [event, ...judged(key, undefined, host)];
}

function changed(key: string, before: Host, after: Host): EventDraft[] {
  const members = changedMembers(before, after, facts);
  if (members.length === 0) return [];
  const has = (name: (typeof facts)[number]) => members.includes(name);
  return [
    draft('host_changed', key, {
      changed: members,
      name: has('name') ? after.name : undefined,
      name_before: has('name') ? before.name : undefined,
      labels: has('labels') ? labelsOf(after.labels) : undefined,
      ak_name: has('akName') ? after.akName : undefined,
      eks: has('eks') ? after.eks.map(({ hash }) => hash) : undefined,
    }),
  ];
}

function rebooted(key: string, before: Host, after: Host): EventDraft[] {
  const [old, now] = [before.lastQuote, after.lastQuote];
  if (old === undefined || now === undefined || old.resetCount === now.resetCount) return [];
  const fields = { reset_count: String(now.resetCount), reset_count_before: String(old.resetCount) };
  return [draft('host_rebooted', key, fields)];
}

function stateOf(key: string, before: Host, after: Host): EventDraft[] {
  const reasons = after.reasons.map(reasonText);
  if (before.state !== after.state) {
    return [draft('host_state_changed', key, { from: before.state, to: after.state, reasons })];
  }
  if (codes(before.reasons) === codes(after.reasons)) return [];
  return [draft('host_reasons_changed', key, { state: after.state, reasons })];
}

/** The sentence of a judgement: verdict, under which policy, and what each component came to. */
function judged(key: string, before: AppraisalRecord | undefined, { appraisal }: Host): EventDraft[] {
  if (appraisal === undefined || (before !== undefined && outcome(before) === outcome(appraisal))) return [];
  const bad = appraisal.components.filter(({ result }) => result !== 'pass');
  return [
    draft('host_verdict_changed', key, {
      from: before?.verdict,
      to: appraisal.verdict,
      policy: appraisal.policyName,
      policy_id: appraisal.policyId,
      group: appraisal.group,
      evidence_id: appraisal.evidenceId,
      components: appraisal.components.map(({ component, result }) => `${component}=${result}`),
      reasons: bad.flatMap(({ component, reasons }) =>
        reasons.map(
          ({ code, message, value }) => `${component} ${code}: ${message}${value ? ` (${value})` : ''}`,
        ),
      ),
    }),
  ];
}

/** What makes two judgements the same event: times and counts do not. */
function outcome({ verdict, policyId, group, components }: AppraisalRecord): string {
  const results = components.map(({ component, result, reasons }) => [
    component,
    result,
    ...reasons.map(({ code, value }) => [code, value ?? '']),
  ]);
  return JSON.stringify([verdict, policyId, group, results]);
}

export function reasonText({ code, message }: Reason): string {
  return `${code}: ${message}`;
}

function codes(reasons: readonly Reason[]): string {
  return reasons.map(({ code }) => code).join();
}

function labelsOf(labels: Readonly<Record<string, string>>): string[] {
  return Object.entries(labels).map(([name, value]) => `${name}=${value}`);
}
