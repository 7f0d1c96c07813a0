import { readImaEntry } from '../ima/ima-entry.js';
import type { ImaRecord } from '../ima/ima-record.js';
import { IMA_PCR } from '../ima/ima-replay.js';
import type { Compiled } from './compile.js';
import { latin1, shown } from './digest-text.js';
import { type EntryVerdict, entryCache } from './ima-cache.js';
import { withPiece } from './is-measured.js';
import { judgeImaEntry } from './judge-ima-entry.js';
import type { ReasonCode } from './reasons.js';
import type { CommandLine, ImaFacts } from './state.js';
import { type Counting, counting, type Severity } from './tally.js';

/** Without a policy entries are still read: their digests may be asked for. */
const unjudged = entryCache();

/** Judges entries one after another, and gives what is known after them. */
export interface ImaJudging {
  entry(record: ImaRecord, key: string): void;
  done(end: Pick<ImaFacts, 'bytes' | 'entries' | 'value'>): ImaFacts;
}

interface Judging {
  readonly before: ImaFacts;
  readonly compiled: Compiled | undefined;
  readonly tally: Counting;
  readonly kexec: Counting;
  readonly measured: Set<string>;
  readonly lines: CommandLine[];
  readonly agentFiles: Set<string>;
  aggregate: string;
  rulesAt: number;
  excluded: number;
  violations: number;
}

/** Kernels that kexec started, one after another; the last place stands for all further ones, and is never accepted. */
const MAX_LINES = 16;
const MAX_LINE = 16 * 1024;
/** Entries of files have 200 bytes; what is longer (keys, critical data) is rare, and would fill the memory. */
const MAX_CACHED = 8192;

export function imaJudging(before: ImaFacts, compiled: Compiled | undefined): ImaJudging {
  const { aggregate, rulesAt, excluded, violations } = before;
  const now: Judging = {
    before,
    compiled,
    tally: counting(before.judged),
    kexec: counting(before.kexec),
    measured: new Set(),
    lines: [],
    agentFiles: new Set(),
    ...{ aggregate, rulesAt, excluded, violations },
  };
  return {
    entry: (record, key) => judgeRecord(now, record, key),
    done: (end) => facts(now, end),
  };
}

function facts(
  now: Judging,
  { bytes, entries, value }: Pick<ImaFacts, 'bytes' | 'entries' | 'value'>,
): ImaFacts {
  const { before, aggregate, rulesAt, excluded, violations } = now;
  const grown = now.agentFiles.size > 0;
  return {
    bytes,
    entries,
    value,
    judged: now.tally.done(),
    kexec: now.kexec.done(),
    commandLines: now.lines.length === 0 ? before.commandLines : [...before.commandLines, ...now.lines],
    ...{ aggregate, rulesAt, excluded, violations },
    agentFiles: grown ? new Set([...before.agentFiles, ...now.agentFiles]) : before.agentFiles,
    measured: withPiece(before.measured, now.measured),
  };
}

function judgeRecord(now: Judging, record: ImaRecord, key: string): void {
  if (now.compiled?.policy.runtime) now.tally.check();
  if (record.pcr !== IMA_PCR) {
    add(now, record, 'fail', 'ima_pcr_unexpected', `is in PCR ${record.pcr}, not ${IMA_PCR}`);
  } else if (record.violation) judgeViolation(now, record);
  else judgeVerdict(now, record, verdictOf(now.compiled, record, key));
}

function verdictOf(compiled: Compiled | undefined, record: ImaRecord, key: string): EntryVerdict {
  const cache = compiled?.entries ?? unjudged;
  const known = cache.get(record.template, key);
  if (known) return known;
  const made = judgeImaEntry(record, compiled);
  if (record.data.length <= MAX_CACHED) cache.set(record.template, key, made);
  return made;
}

/** Nothing vouches for the path of a violation, so no path and no digest accepts it. */
function judgeViolation(now: Judging, record: ImaRecord): void {
  now.violations++;
  const rule = now.compiled?.policy.runtime?.violations ?? 'ignore';
  if (rule === 'ignore') return;
  const path = shown(readImaEntry(record).path?.text ?? '');
  add(now, record, rule, 'file_violation', `says that ${path} was written to while it was measured`);
}

function judgeVerdict(now: Judging, record: ImaRecord, verdict: EntryVerdict): void {
  const { event } = record;
  if (verdict.listDigest !== latin1(record.templateDigest)) {
    add(now, record, 'fail', 'ima_entry_forged', 'is not what its template digest is the hash of');
  }
  if (event === 1 && verdict.kind !== 'aggregate') {
    add(now, record, 'fail', 'boot_aggregate_missing', 'is the first one and not boot_aggregate');
  }
  if (verdict.kind === 'aggregate') judgeAggregate(now, event, verdict);
  if (verdict.kind === 'kexec') judgeKexec(now, event, verdict);
  if (verdict.measured !== '') now.measured.add(verdict.measured);
  if (verdict.excluded) now.excluded++;
  if (verdict.rules && now.rulesAt === 0) now.rulesAt = event;
  for (const name of verdict.agent) if (!now.before.agentFiles.has(name)) now.agentFiles.add(name);
  if (verdict.code !== '') add(now, record, 'fail', verdict.code, describe(verdict), verdict.digest);
}

function judgeAggregate(now: Judging, event: number, { digest }: EntryVerdict): void {
  if (event === 1) now.aggregate = digest;
  else addKexec(now, event, 'is a second boot_aggregate: another kernel was started by kexec', digest);
}

function judgeKexec(now: Judging, event: number, { text }: EntryVerdict): void {
  addKexec(now, event, `is the command line of a kernel for kexec: ${shown(text)}`, text);
  const kept = now.before.commandLines.length + now.lines.length;
  if (kept >= MAX_LINES) return;
  const whole = kept < MAX_LINES - 1 && text.length <= MAX_LINE;
  const accepted = whole && (now.compiled?.commandLines.accepts(text) ?? false);
  now.lines.push({ source: 'kexec', text: whole ? text : undefined, accepted, pcr: IMA_PCR, event });
}

function addKexec(now: Judging, event: number, what: string, value: string): void {
  const message = `entry ${event} of the IMA list ${what}`;
  const place = { log: 'ima-list', event, pcr: IMA_PCR } as const;
  now.kexec.add('fail', () => ({ code: 'kexec', message, ...place, value: value.slice(0, 4096) }));
}

function describe({ code, path, text }: EntryVerdict): string {
  if (code === 'file_modified') return `measured ${shown(path)} with another content than is accepted there`;
  if (code === 'ima_template_unknown') return `has the template ${shown(text)}, which is not understood`;
  if (code === 'ima_entry_malformed') return `cannot be read: ${text}`;
  if (code === 'ima_entry_forged') return `has a buffer ${shown(path)} that is not of its digest`;
  if (code === 'ima_key_unknown') return `loaded a key into ${shown(path)} that no signer has`;
  if (code === 'ima_policy_unknown') return `measured IMA rules in ${shown(path)} that are not accepted`;
  return `measured ${shown(path)}, which nothing accepts`;
}

function add(
  { tally, compiled }: Judging,
  { event }: ImaRecord,
  severity: Severity,
  code: ReasonCode,
  what: string,
  value = '',
): void {
  if (!compiled?.policy.runtime) return;
  tally.add(severity, () => ({
    code,
    message: `entry ${event} of the IMA list ${what}`,
    log: 'ima-list',
    event,
    pcr: IMA_PCR,
    ...(value === '' ? {} : { value }),
  }));
}
