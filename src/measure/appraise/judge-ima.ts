import { type ImaEntry, readImaEntry } from '../ima/ima-entry.js';
import type { ImaRecord } from '../ima/ima-record.js';
import { digestMatches, IMA_PCR } from '../ima/ima-replay.js';
import { commandLine } from './command-lines.js';
import type { Compiled } from './compile.js';
import { quoted } from './digest-text.js';
import { withPieces } from './is-measured.js';
import { digestName, type EntryVerdict, judgeImaEntry } from './judge-ima-entry.js';
import { type PieceBuilder, pieceBuilder } from './measured-piece.js';
import type { ReasonCode } from './reasons.js';
import type { CommandLine, ImaFacts } from './state.js';
import { type Counting, counting, type Severity } from './tally.js';

/** Judges entries one after another, and gives what is known after them. */
export interface ImaJudging {
  entry(record: ImaRecord): void;
  done(end: Pick<ImaFacts, 'bytes' | 'entries' | 'value'>): ImaFacts;
}

interface Judging {
  readonly before: ImaFacts;
  readonly compiled: Compiled | undefined;
  readonly tally: Counting;
  readonly kexec: Counting;
  readonly obscured: Counting;
  readonly measured: PieceBuilder;
  readonly lines: CommandLine[];
  readonly agentFiles: Set<string>;
  aggregate: string;
  lineAhead: boolean;
  lineless: number;
  rulesAt: number;
  excluded: number;
  violations: number;
}

/** Kernels that kexec started, one after another; the last place stands for all further ones, and is never accepted. */
const MAX_LINES = 16;
const MAX_LINE = 16 * 1024;

export function imaJudging(before: ImaFacts, compiled: Compiled | undefined): ImaJudging {
  const { aggregate, lineAhead, lineless, rulesAt, excluded, violations } = before;
  const now: Judging = {
    before,
    compiled,
    tally: counting(before.judged),
    kexec: counting(before.kexec),
    obscured: counting(before.obscured),
    measured: pieceBuilder(),
    lines: [],
    agentFiles: new Set(),
    aggregate,
    lineAhead,
    lineless,
    rulesAt,
    excluded,
    violations,
  };
  return { entry: (record) => judgeRecord(now, record), done: (end) => facts(now, end) };
}

function facts(
  now: Judging,
  { bytes, entries, value }: Pick<ImaFacts, 'bytes' | 'entries' | 'value'>,
): ImaFacts {
  const { before, aggregate, lineAhead, lineless, rulesAt, excluded, violations } = now;
  const grown = now.agentFiles.size > 0;
  return {
    bytes,
    entries,
    value,
    judged: now.tally.done(),
    kexec: now.kexec.done(),
    obscured: now.obscured.done(),
    commandLines: now.lines.length === 0 ? before.commandLines : [...before.commandLines, ...now.lines],
    aggregate,
    lineAhead,
    lineless,
    rulesAt,
    excluded,
    violations,
    agentFiles: grown ? new Set([...before.agentFiles, ...now.agentFiles]) : before.agentFiles,
    measured: withPieces(before.measured, now.measured.done()),
  };
}

function judgeRecord(now: Judging, record: ImaRecord): void {
  if (now.compiled?.policy.runtime) now.tally.check();
  if (record.pcr !== IMA_PCR) {
    add(now, record, 'fail', 'ima_pcr_unexpected', () => `is in PCR ${record.pcr}, not ${IMA_PCR}`);
    return;
  }
  const entry = readImaEntry(record);
  if (record.violation) judgeViolation(now, record, entry);
  else {
    if (!digestMatches(record)) {
      add(now, record, 'fail', 'ima_entry_forged', () => 'is not what its template digest is the hash of');
    }
    judgeMeasured(now, record, entry, judgeImaEntry(entry, now.compiled));
  }
}

/** Nothing vouches for the path of a violation, so no path and no digest accepts it. */
function judgeViolation(now: Judging, record: ImaRecord, { path }: ImaEntry): void {
  now.violations++;
  const rule = now.compiled?.policy.runtime?.violations ?? 'ignore';
  if (rule === 'ignore') return;
  const what = () => `says that ${quoted(path?.text ?? '')} was written to while it was measured`;
  add(now, record, rule, 'file_violation', what);
}

function judgeMeasured(now: Judging, record: ImaRecord, entry: ImaEntry, verdict: EntryVerdict): void {
  const { event } = record;
  const { kind, code } = verdict;
  if (event === 1 && kind !== 'aggregate') {
    add(now, record, 'fail', 'boot_aggregate_missing', () => 'is the first one and not boot_aggregate');
    addObscured(now, event, 'is the first one and not boot_aggregate');
  }
  if (kind === 'aggregate') judgeAggregate(now, event, entry);
  else if (kind === 'kexec') judgeKexec(now, event, verdict);
  else if (kind === 'file' && entry.fileDigest && isPath(entry)) now.measured.add(entry.fileDigest);
  if (verdict.excluded) now.excluded++;
  if (verdict.rules && now.rulesAt === 0) now.rulesAt = event;
  for (const name of verdict.agent) if (!now.before.agentFiles.has(name)) now.agentFiles.add(name);
  if (code === '') return;
  const value = entry.fileDigest ? digestName(entry.fileDigest) : undefined;
  const what = () => describe(code, quoted(entry.path?.text ?? ''), verdict.text);
  add(now, record, 'fail', code, what, value);
  if (kind === 'obscured') addObscured(now, event, what());
}

/** What is no path (`memfd:x`) is of no file that could be found again. */
function isPath({ path }: ImaEntry): boolean {
  return path?.bytes[0] === 0x2f;
}

function judgeAggregate(now: Judging, event: number, { fileDigest }: ImaEntry): void {
  const digest = fileDigest ? digestName(fileDigest) : '';
  if (event === 1) {
    now.aggregate = digest;
    return;
  }
  addKexec(now, event, 'is a second boot_aggregate: another kernel was started by kexec', digest);
  if (!now.lineAhead && now.lineless === 0) now.lineless = event;
  now.lineAhead = false;
}

function judgeKexec(now: Judging, event: number, { text }: EntryVerdict): void {
  const said = text === undefined ? 'that cannot be read' : quoted(text);
  addKexec(now, event, `is the command line of a kernel for kexec: ${said}`, text ?? '');
  now.lineAhead = true;
  const kept = now.before.commandLines.length + now.lines.length;
  if (kept >= MAX_LINES) return;
  const whole = kept < MAX_LINES - 1 && text !== undefined && text.length <= MAX_LINE;
  const place = { source: 'kexec', pcr: IMA_PCR, event } as const;
  now.lines.push(commandLine(place, whole ? text : undefined, false, now.compiled));
}

function addKexec(now: Judging, event: number, what: string, value: string): void {
  const message = `entry ${event} of the IMA list ${what}`;
  const place = { log: 'ima-list', event, pcr: IMA_PCR } as const;
  now.kexec.add('fail', () => ({ code: 'kexec', message, ...place, value: value.slice(0, 4096) }));
}

/** What nobody can tell may be what starts another kernel. */
function addObscured(now: Judging, event: number, what: string): void {
  const message = `entry ${event} of the IMA list ${what}`;
  now.obscured.add('unknown', () => ({
    ...({ code: 'kexec_uncertain', message, log: 'ima-list', event, pcr: IMA_PCR } as const),
  }));
}

function describe(code: ReasonCode, path: string, text = ''): string {
  if (code === 'file_modified') return `measured ${path} with another content than is accepted there`;
  if (code === 'ima_template_unknown') return `has the template ${quoted(text)}, which is not understood`;
  if (code === 'ima_entry_malformed') return `cannot be read: ${text}`;
  if (code === 'ima_entry_forged') return `has no buffer ${path} of its digest`;
  if (code === 'ima_key_unknown') return `loaded a key into ${path} that no signer has`;
  if (code === 'ima_policy_unknown') return `measured IMA rules in ${path} that are not accepted`;
  return `measured ${path}, which nothing accepts`;
}

function add(
  { tally, compiled }: Judging,
  { event }: ImaRecord,
  severity: Severity,
  code: ReasonCode,
  what: () => string,
  value?: string,
): void {
  if (!compiled?.policy.runtime) return;
  tally.add(severity, () => ({
    code,
    message: `entry ${event} of the IMA list ${what()}`,
    log: 'ima-list',
    event,
    pcr: IMA_PCR,
    ...(value === undefined ? {} : { value }),
  }));
}
