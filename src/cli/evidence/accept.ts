/** What would make failing components pass: a reference set with the very values that they showed. */
import type { ComponentAppraisal, ComponentReason } from '../../measure/appraise/contract.js';
import type { ReasonCode } from '../../measure/appraise/reasons.js';
import type { ComponentName } from '../../measure/policy/model.js';
import { entryKey, type LogEntries } from './log-entry.js';

/** Members of a `ReferenceSet` manifest that list digests of events. */
const digestLists: Readonly<Partial<Record<ComponentName, string>>> = {
  firmware: 'firmware',
  'firmware-config': 'firmwareConfig',
  'secure-boot': 'secureBoot',
  'boot-chain': 'bootChain',
  userspace: 'userspace',
};
const DIGEST = /^(verity:)?(sha1|sha256|sha384|sha512):[0-9a-f]+$/;
/** What a reference answers. All else is missing, contradicts itself, was not measured, or is a rule of the policy. */
const answered: ReadonlySet<string> = new Set([
  'event_digest_unknown',
  'variable_unexpected',
  'authority_unknown',
  'boot_image_unknown',
  'boot_event_unknown',
  'command_line_unknown',
  'userspace_record_unknown',
  'file_unknown',
  'file_modified',
] satisfies ReasonCode[]);

export type AcceptManifest = Readonly<Record<string, unknown>>;

/**
 * A manifest to look at before it is applied: it accepts what the evidence shows, whatever that is.
 * @returns undefined when no value would help
 */
export function acceptManifest(
  host: string,
  components: readonly ComponentAppraisal[],
  entries: LogEntries,
): AcceptManifest | undefined {
  const lists = new Map<string, unknown[]>();
  const add = (list: string, row: unknown) => {
    const rows = lists.get(list) ?? [];
    if (!rows.some((one) => JSON.stringify(one) === JSON.stringify(row))) rows.push(row);
    lists.set(list, rows);
  };
  for (const { component, result, reasons } of components) {
    if (result === 'pass') continue;
    for (const reason of reasons) addReason(component, reason, entries, add);
  }
  if (lists.size === 0) return undefined;
  const name = `accepted-${host.replace(/[^A-Za-z0-9._-]/g, '-').slice(0, 48)}`;
  return { kind: 'ReferenceSet', name, ...Object.fromEntries(lists) };
}

function addReason(
  component: ComponentName,
  reason: ComponentReason,
  entries: LogEntries,
  add: (list: string, row: unknown) => void,
): void {
  if (!answered.has(reason.code)) return;
  const entry = entries.get(entryKey(reason));
  if (component === 'command-line') {
    if (reason.value) add('commandLines', reason.value);
    return;
  }
  const digest = [entry?.digest, reason.value].find((value) => value !== undefined && DIGEST.test(value));
  if (digest === undefined) return;
  const list = digestLists[component];
  if (list !== undefined) add(list, { digest, label: labelOf(reason) });
  else if (component === 'runtime' && entry?.path) add('files', { digest, path: globOf(entry.path) });
}

function labelOf({ log, event }: ComponentReason): string {
  return log === undefined || event === undefined ? '' : `${log} ${event}`;
}

/** Patterns have no escape: what would be one stands for any one character. */
function globOf(path: string): string {
  return path.replace(/[*?]/g, '?');
}
