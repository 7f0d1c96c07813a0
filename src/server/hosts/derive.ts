/** The state of a host that no operator shut out: what follows from its suspicions, its evidence and the time. Pure. */
import type { ComponentAppraisal, ComponentReason } from '../../measure/appraise/contract.js';
import type { AppraisalRecord, Host, HostState, Reason } from '../model.js';

/** Reasons of a judgement that a host carries; all of them are in its appraisal. */
const MOST_REASONS = 10;

/** The code of the reason that says that a host would have drifted, were its group not under maintenance. */
export const MAINTENANCE = 'maintenance';

/** Drifted before suspect before good; within a maintenance window, drifted is suspect until the window ends. */
export function derivedState(host: Host, now: number, graceMs: number): Host {
  const suspicions = suspicionsOf(host);
  const verdict = host.appraisal?.verdict ?? 'unmeasured';
  const until = host.maintenanceUntil ?? 0;
  const excused = verdict === 'drifted' && until > now;
  const reasons = [...suspicions, ...judgementReasons(host.appraisal)];
  const graceEndsAt = graceEnd(host, now + graceMs);
  const after = { ...host, suspicionGraceEndsAt: suspicions.length > 0 ? graceEndsAt : 0 };
  if (verdict === 'drifted' && !excused) return enter(after, 'drifted', reasons, now);
  if (suspicions.length > 0 || verdict === 'suspect') {
    const why = excused ? [maintenanceReason(until), ...reasons] : reasons;
    return { ...enter(after, 'suspect', why, now), graceEndsAt };
  }
  if (excused) {
    const why = [maintenanceReason(until), ...reasons];
    return { ...enter(after, 'suspect', why, now), graceEndsAt: until };
  }
  return enter(after, verdict, [], now);
}

/** A record from before suspicions were kept apart has them as its reasons. */
export function suspicionsOf(host: Host): readonly Reason[] {
  if (host.suspicions !== undefined) return host.suspicions;
  return host.state === 'suspect' ? host.reasons : [];
}

/** Those that are new by their code behind those that are known. */
export function joinReasons(before: readonly Reason[], added: readonly Reason[]): readonly Reason[] {
  const known = new Set(before.map((reason) => reason.code));
  return [...before, ...added.filter((reason) => !known.has(reason.code))];
}

/** What in a judgement speaks against the host, the first of each component before the second of any. */
export function judgementReasons(appraisal: AppraisalRecord | undefined): readonly Reason[] {
  if (appraisal === undefined) return [];
  if (appraisal.verdict === 'trusted' || appraisal.verdict === 'unmeasured') return [];
  const failed = appraisal.components.filter(({ result }) => result === 'fail' || result === 'unknown');
  const told = failed.length > 0 ? failed : appraisal.components.filter(({ result }) => result !== 'pass');
  const longest = Math.max(0, ...told.map(({ reasons }) => reasons.length));
  const inTurn = Array.from({ length: longest }, (_, at) =>
    told.flatMap((component) => reasonAt(component, component.reasons[at])),
  );
  return inTurn.flat().slice(0, MOST_REASONS);
}

function reasonAt({ component }: ComponentAppraisal, reason: ComponentReason | undefined): Reason[] {
  return reason === undefined ? [] : [{ code: reason.code, message: `${component}: ${reason.message}` }];
}

/**
 * A grace that runs is kept, that of a suspicion for as long as there is one, whatever the evidence said meanwhile. That of a
 * maintenance window is not a grace, and does not become one.
 */
function graceEnd(before: Host, fresh: number): number {
  if (suspicionsOf(before).length > 0 && before.suspicionGraceEndsAt) return before.suspicionGraceEndsAt;
  const runs = before.state === 'suspect' && before.reasons[0]?.code !== MAINTENANCE;
  return runs ? before.graceEndsAt : fresh;
}

function maintenanceReason(until: number): Reason {
  return {
    code: MAINTENANCE,
    message: `its group is under maintenance until ${new Date(until).toISOString()}`,
  };
}

function enter(host: Host, state: HostState, reasons: readonly Reason[], now: number): Host {
  const stateSince = host.state === state ? host.stateSince : now;
  return { ...host, state, stateSince, reasons, graceEndsAt: 0 };
}
