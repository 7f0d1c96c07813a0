/** What of a judgement goes into the archive: a record where something changed, and of the logs what is not there yet. */
import { type LogKind, type LogPart, logKinds } from '../../measure/appraise/contract.js';
import type { PcrValues } from '../../tpm/pcr.js';
import type { Condition, Write } from '../datastores/contract.js';
import type { EvidenceRecord } from '../model.js';
import { recordedLogs } from './archive.js';
import { evidenceKey, newEvidenceId, pieceKey } from './archive-keys.js';
import { measureLimits } from './limits.js';
import { grownTo, isVouchedFor, type LogSet } from './memory.js';
import type { Settled } from './settle.js';

export interface EvidenceWrites {
  readonly record: EvidenceRecord;
  /** The logs as they lie in the archive afterwards. */
  readonly set: LogSet;
  readonly writes: readonly Write[];
  readonly conditions: readonly Condition[];
}

/**
 * @param before ID of the host's newest record
 * @param replaces whether it goes, since this one shows all that it showed
 */
export function evidenceWrites(
  settled: Settled,
  before: string | undefined,
  replaces: boolean,
): EvidenceWrites {
  const { hostId, verified, evidence, appraisal, inForce } = settled;
  const set = setAfter(settled);
  const id = newEvidenceId(evidence.at, before);
  const record: EvidenceRecord = {
    id,
    hostId,
    at: evidence.at,
    asked: verified.asked,
    boot: set.boot,
    akPublic: verified.akPublic,
    attest: base64(verified.attest),
    signature: base64(verified.signature),
    bank: verified.quote.selection.bank,
    pcrs: verified.quote.selection.pcrs,
    pcrValues: hexValues(verified.pcrValues),
    logs: logLengths(settled, set),
    absent: absentReasons(evidence.logs),
    policyId: inForce?.policy.id ?? '',
    verdict: appraisal.verdict,
    components: appraisal.explanation.components,
  };
  const writes: Write[] = [{ kind: 'evidence', key: evidenceKey(hostId, id), value: record }];
  for (const kind of logKinds) addPieces(writes, settled, set, kind);
  // What another judgement of this host wrote meanwhile is not written over.
  const conditions = writes.map(({ kind, key }): Condition => ({ kind, key, revision: 0 }));
  if (replaces && before !== undefined)
    writes.push({ kind: 'evidence', key: evidenceKey(hostId, before), deleted: true });
  return { record, set, writes, conditions };
}

/** Whether logs grew, or others came. */
export function bringsLogs(settled: Settled): boolean {
  return setAfter(settled) !== settled.set;
}

function setAfter(settled: Settled): LogSet {
  return grownTo(settled.set, (kind) => wantedLength(settled, kind));
}

/** What quotes vouched for; of a log that they do not vouch for all of it, since the judgement rests on all of it. */
function wantedLength({ evidence, appraisal, set }: Settled, kind: LogKind): number {
  const part = evidence.logs[kind];
  if (part.kind === 'absent') return 0;
  const end = part.kind === 'bytes' ? part.offset + part.bytes.length : set.stored[kind];
  if (!isVouchedFor(appraisal, kind)) return end;
  return Math.min(end, confirmedLength(appraisal.confirmed, kind));
}

function confirmedLength(confirmed: Settled['appraisal']['confirmed'], kind: LogKind): number {
  return confirmed[recordedLogs[kind]];
}

/** Of a set that goes on, a log is as long as all that is kept of it. */
function logLengths(settled: Settled, { stored }: LogSet): EvidenceRecord['logs'] {
  const length = (kind: LogKind) => (settled.evidence.logs[kind].kind === 'absent' ? -1 : stored[kind]);
  return { bootLog: length('boot-log'), userspaceLog: length('userspace-log'), imaList: length('ima-list') };
}

function addPieces(writes: Write[], { hostId, evidence, set }: Settled, after: LogSet, kind: LogKind): void {
  const part = evidence.logs[kind];
  if (part.kind !== 'bytes') return;
  const from = set.stored[kind];
  for (let at = from; at < after.stored[kind]; at += measureLimits.piece) {
    const end = Math.min(at + measureLimits.piece, after.stored[kind]);
    const data = base64(part.bytes.subarray(at - part.offset, end - part.offset));
    writes.push({ kind: 'evidence_log', key: pieceKey(hostId, after.boot, kind, at), value: { data } });
  }
}

function absentReasons(logs: Readonly<Record<LogKind, LogPart>>): Record<string, string> {
  const reasons: Record<string, string> = {};
  for (const kind of logKinds) {
    const part = logs[kind];
    if (part.kind === 'absent') reasons[kind] = part.reason;
  }
  return reasons;
}

/** Registers as records hold them: by their number, in hex, which is made of all of them at once. */
export function hexValues(values: PcrValues | undefined): Record<string, string> {
  const texts: Record<string, string> = {};
  if (values === undefined) return texts;
  const all = Buffer.concat([...values.values()]).toString('hex');
  let at = 0;
  for (const [pcr, { length }] of values) {
    texts[pcr] = all.slice(at, at + 2 * length);
    at += 2 * length;
  }
  return texts;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}
