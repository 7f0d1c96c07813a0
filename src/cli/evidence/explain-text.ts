/** An examination in words: register by register, component by component, each reason with what it points to. */
import { stringify } from 'yaml';
import type {
  Appraisal,
  ComponentAppraisal,
  ComponentReason,
  PcrAppraisal,
} from '../../measure/appraise/contract.js';
import { remedyOf } from '../../measure/appraise/reasons.js';
import { fields, printable, table } from '../output.js';
import { type AcceptManifest, acceptManifest } from './accept.js';
import type { Examination } from './examine.js';
import { entryKey, type LogEntries, readEntries } from './log-entry.js';
import type { ExportedEvidence } from './read-evidence.js';

export interface ExplainedReason extends ComponentReason {
  readonly remedy: string;
  /** The entry of the log that it points to. */
  readonly entry?: string;
}

export interface ExplainedComponent extends Omit<ComponentAppraisal, 'reasons'> {
  readonly reasons: readonly ExplainedReason[];
}

/** As JSON: everything that the text says. */
export interface Explained {
  readonly host: string;
  readonly evidence: string;
  readonly at: string;
  readonly verdict: string;
  readonly policy: string;
  readonly policyId: string;
  readonly pcrs: readonly PcrAppraisal[];
  readonly components: readonly ExplainedComponent[];
  /** A reference set that would accept what failed. */
  readonly accept?: AcceptManifest;
}

export function explainedComponents(
  components: readonly ComponentAppraisal[],
  entries: LogEntries,
): ExplainedComponent[] {
  return components.map((component) => ({
    ...component,
    reasons: component.reasons.map((reason) => {
      const entry = entries.get(entryKey(reason))?.text;
      return { ...reason, remedy: remedyOf(reason.code), ...(entry === undefined ? {} : { entry }) };
    }),
  }));
}

export function explain(
  { document: { record, host }, logs }: ExportedEvidence,
  appraisal: Appraisal,
): Explained {
  const { components, pcrs, policyId, policyName } = appraisal.explanation;
  const entries = readEntries(
    logs,
    components.flatMap(({ reasons }) => reasons),
    record.bank,
  );
  const name = host === undefined || host.name === '' ? record.hostId.slice(0, 16) : host.name;
  const accept = acceptManifest(name, components, entries);
  return {
    host: name,
    evidence: record.id,
    at: new Date(record.at).toISOString(),
    verdict: appraisal.verdict,
    policy: policyName,
    policyId,
    pcrs,
    components: explainedComponents(components, entries),
    ...(accept === undefined ? {} : { accept }),
  };
}

export function explainedText(explained: Explained): string {
  const { host, evidence, at, verdict, policy, policyId, pcrs, components, accept } = explained;
  const head = fields([
    ['Host', printable(host)],
    ['Evidence', `${evidence}, ${at}`],
    ['Verdict', verdict],
    ['Policy', policy === '' ? 'none applies' : `${printable(policy)} (${policyId.slice(0, 16)})`],
  ]);
  const parts = [head, registersText(pcrs), ...components.map(componentText), acceptText(accept)];
  return parts.filter((part) => part !== '').join('\n\n');
}

function registersText(pcrs: readonly PcrAppraisal[]): string {
  const rows = pcrs.map(({ pcr, quoted, derived, from, explained }) => [
    String(pcr),
    (quoted === '' ? derived : quoted).slice(0, 16),
    explained ? (from === 'start' ? 'nothing was measured' : `explained by the ${from}`) : 'NOT explained',
    explained || quoted === '' ? '' : `the logs give ${derived.slice(0, 16)}`,
  ]);
  return rows.length === 0 ? '' : table(['PCR', 'VALUE', 'IS', ''], rows);
}

export function componentText(component: ExplainedComponent): string {
  const { component: name, result, checked, reasons, more } = component;
  const compared = checked === 0 ? 'nothing was compared' : `${checked} measurements compared`;
  const lines = [`${name}: ${result} (${compared})`, ...reasons.flatMap(reasonLines)];
  if (more > 0) lines.push(`  and ${more} more`);
  return lines.join('\n');
}

function reasonLines({ code, message, log, event, entry, value, remedy }: ExplainedReason): string[] {
  const place = log === undefined || event === undefined ? '' : `${log} ${event}`;
  return [
    `  ${code}: ${printable(message)}`,
    ...(entry === undefined ? [] : [`    ${place}: ${printable(entry)}`]),
    ...(value === undefined || value === '' ? [] : [`    it shows: ${printable(value)}`]),
    ...(remedy === '' ? [] : [`    ${remedy}`]),
  ];
}

/** YAML that `apply` takes, once somebody has found that it is right to accept this. */
export function acceptText(accept: AcceptManifest | undefined): string {
  if (accept === undefined) return '';
  const yaml = stringify(accept, { lineWidth: 0 }).trimEnd();
  return `To accept exactly this, once you know why it is there (then name the set in the policy):\n\n${yaml}`;
}

export function stepsText({ steps }: Examination): string {
  return table(
    ['STEP', 'RESULT', 'MEANING'],
    steps.map(({ step, result, message }) => [step, result, printable(message)]),
  );
}
