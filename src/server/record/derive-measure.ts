import type { Records } from '../datastores/contract.js';
import type { MeasureObjectRecord, WithdrawalRecord } from '../model.js';
import type { Change } from './derive.js';
import { reasonText } from './derive-host.js';
import { changedMembers, draft, timeOf } from './draft.js';
import type { EventDraft } from './model.js';

/** Versions are for ever; that one is put again, or removed, is nothing that happens to anybody. */
export function deriveObject({ key, before, after }: Change<MeasureObjectRecord>): EventDraft[] {
  if (after === undefined || before !== undefined) return [];
  const { object, hash, createdBy } = after;
  return [
    draft('measure_version_added', key, { kind: object.kind, name: object.name, hash, made_by: createdBy }),
  ];
}

export function deriveHead({ key, before, after }: Change<Records['measure_head']>): EventDraft[] {
  if (after === undefined) return [draft('measure_unpublished', key, { hash_before: before?.hash })];
  if (before?.hash === after.hash) return [];
  const fields = { hash: after.hash, hash_before: before?.hash, published_by: after.by };
  return [draft('measure_published', key, fields)];
}

export function deriveWithdrawal({ key, before, after }: Change<WithdrawalRecord>): EventDraft[] {
  if (after === undefined) return [draft('withdrawal_ended', key, { host: before?.hostId })];
  const { hostId, issuedBefore, until, reasons } = after;
  const fields = {
    host: hostId,
    issued_before: timeOf(issuedBefore),
    until: timeOf(until),
    reasons: reasons.map(reasonText),
  };
  if (before === undefined) return [draft('identities_withdrawn', key, fields)];
  const changed = changedMembers(before, after, ['issuedBefore', 'until', 'reasons']);
  return changed.length === 0 ? [] : [draft('withdrawal_changed', key, { ...fields, changed })];
}
