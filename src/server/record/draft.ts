import { createHash } from 'node:crypto';
import { canonicalJson } from '../../measure/policy/canonical.js';
import { boundedFields, cutText, type EventDraft, type EventFields, limits } from './model.js';
import type { RecordEventName } from './names.js';

/** One event, with everything that comes from outside cut to size; fields that are undefined are left out. */
export function draft(
  name: RecordEventName,
  subject: string,
  fields: Readonly<Record<string, EventFields[string] | undefined>> = {},
): EventDraft {
  return { name, subject: cutText(subject, limits.subject), fields: boundedFields(fields) };
}

/** SHA-256, hex, over a record as JSON with its members in order: tells one version from another without showing it. */
export function digestOf(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex');
}

/** Names of the members that differ. */
export function changedMembers<T extends object>(before: T, after: T, names: readonly (keyof T & string)[]) {
  return names.filter((name) => canonicalJson(before[name] ?? null) !== canonicalJson(after[name] ?? null));
}

export function timeOf(milliseconds: number): string | undefined {
  return milliseconds === 0 ? undefined : new Date(milliseconds).toISOString();
}
