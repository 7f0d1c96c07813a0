import type { Finding } from '../../measure/finding.js';
import { fields, printable, table } from '../output.js';

/** What every `inspect` of a measurement log prints as JSON. */
export interface LogReport {
  readonly format: string;
  readonly events: number;
  readonly pcrs: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly findings: readonly Finding[];
}

/** The same for people. */
export function logText({ format, events, pcrs, findings }: LogReport): string {
  const values = Object.entries(pcrs).flatMap(([bank, ofBank]) =>
    Object.entries(ofBank).map(([pcr, value]) => [bank, pcr, value]),
  );
  const odd = findings.map(({ code, event, message }) => [
    event === null ? '-' : String(event),
    code,
    printable(message),
  ]);
  const head = fields([
    ['Format', format],
    ['Events', String(events)],
    ['Findings', String(findings.length)],
  ]);
  const parts = [head, table(['BANK', 'PCR', 'VALUE'], values)];
  return [...parts, ...(odd.length > 0 ? [table(['EVENT', 'FINDING', 'MEANING'], odd)] : [])].join('\n\n');
}
