import type { Finding } from '../../measure/finding.js';
import { fields, type Output, printable, table } from '../output.js';

/** What every `inspect` of a measurement log prints as JSON. */
export interface LogReport {
  readonly format: string;
  readonly events: number;
  readonly pcrs: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly findings: readonly Finding[];
}

/** Findings that are shown of one log: a hostile one has a finding in every 40 bytes. */
export const MAX_FINDINGS = 1000;

/** @param omitted findings beyond those of the report */
export function showLog(out: Output, report: LogReport, omitted = 0): void {
  const json = { ...report, findings: report.findings.slice(0, MAX_FINDINGS) };
  out.result({ pretty: () => logText(json), json });
  const more = omitted + report.findings.length - json.findings.length;
  if (more > 0) out.note(`${more} more findings are not shown`);
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
