import { fields, printable, table } from '../output.js';
import { logText } from './log-text.js';
import type { UkiReport } from './uki-report.js';

/** What an image measures, for people: first what every log shows, then what only an image has. */
export function ukiText(report: UkiReport): string {
  const { authenticode, certificates, phases } = report;
  const hashes = Object.entries(authenticode).map(([bank, value]) => ['image', bank, value]);
  const kernel = Object.entries(report.kernel ?? {}).map(([bank, value]) => ['kernel', bank, value]);
  const later = Object.entries(phases['sha256'] ?? {}).map(([path, value]) => [path, value]);
  const facts = [...ukiFacts(report), ['Certificates', String(certificates.length)]] as const;
  return [
    logText(report),
    fields(facts.map(([name = '', value = '']) => [name, value] as const)),
    table(['AUTHENTICODE', 'HASH', 'VALUE'], [...hashes, ...kernel]),
    ...(later.length > 0 ? [table(['PHASE', 'PCR 11 (SHA-256)'], later)] : []),
    sectionTable(report),
  ].join('\n\n');
}

function ukiFacts({ stub, osRelease, uname, cmdline, profile, profiles }: UkiReport): string[][] {
  if (stub === undefined) return [];
  const said = [
    ['Stub', stub],
    ['Profile', `${profile} of ${profiles}`],
    ['System', osRelease?.['PRETTY_NAME'] ?? osRelease?.['ID'] ?? ''],
    ['Kernel', uname ?? ''],
    ['Command line', cmdline ?? ''],
  ];
  return said.filter(([, value]) => value !== '').map(([name = '', value = '']) => [name, printable(value)]);
}

function sectionTable({ measured, sections }: UkiReport): string {
  if (measured === undefined) {
    const rows = sections.map(({ name, rawSize }) => [printable(name), String(rawSize)]);
    return table(['SECTION', 'SIZE'], rows);
  }
  const rows = measured.map(({ name, size, sha256 }) => [name, String(size), sha256]);
  return table(['MEASURED', 'SIZE', 'SHA-256'], rows);
}
