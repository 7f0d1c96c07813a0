/** Reads what hosts showed back out of the datastore, verifying it again: what is judged twice is checked twice. */
import { quoteExtraData, tickExtraDataOfHash } from '../../attest/transcript.js';
import { TouchmarkError } from '../../errors.js';
import { type Evidence, type LogKind, type LogPart, logKinds } from '../../measure/appraise/contract.js';
import { isHashName } from '../../tpm/algorithms.js';
import type { PcrValues } from '../../tpm/pcr.js';
import { parsePublic } from '../../tpm/public.js';
import { type QuoteFacts, verifyQuote } from '../../tpm/quote.js';
import type { Datastore } from '../datastores/contract.js';
import type { EvidenceRecord } from '../model.js';
import { evidenceKey, listPrefix, logPrefix, pieceOffset, prefixRange } from './archive-keys.js';
import { joined } from './collect.js';
import type { ArchivedEvidence, EvidenceArchive } from './contract.js';

export const recordedLogs = {
  'boot-log': 'bootLog',
  'userspace-log': 'userspaceLog',
  'ima-list': 'imaList',
} as const satisfies Record<LogKind, keyof EvidenceRecord['logs']>;

export function createArchive(store: Datastore): EvidenceArchive {
  return {
    async latest(hostId) {
      const newest = await newestRecord(store, hostId);
      return newest && readEvidence(store, newest);
    },
    async get(hostId, evidenceId) {
      const stored = await store.get('evidence', evidenceKey(hostId, evidenceId));
      return stored && readEvidence(store, stored.value);
    },
    async history(hostId, limit) {
      const found: EvidenceRecord[] = [];
      if (limit <= 0) return found;
      for await (const { value } of listPrefix(store, 'evidence', `${hostId}/`, 'newest first')) {
        found.push(value);
        if (found.length === limit) break;
      }
      return found;
    },
  };
}

export async function newestRecord(store: Datastore, hostId: string): Promise<EvidenceRecord | undefined> {
  const range = { ...prefixRange(`${hostId}/`), descending: true, limit: 1 };
  const [newest] = await store.list('evidence', range);
  return newest?.value;
}

/** What its logs take in memory. */
export function bytesOf({ logs }: Pick<EvidenceRecord, 'logs'>): number {
  return Object.values(logs).reduce((sum, length) => sum + Math.max(0, length), 0);
}

/** @throws TouchmarkError `archive_incomplete`, and what verifying the quote throws */
export async function readEvidence(store: Datastore, record: EvidenceRecord): Promise<ArchivedEvidence> {
  const logs: Partial<Record<LogKind, LogPart>> = {};
  for (const kind of logKinds) logs[kind] = await recordedLog(store, record, kind);
  const pcrValues = recordedValues(record);
  const evidence: Evidence = {
    at: record.at,
    quote: quoteOf(record),
    ...(pcrValues.size === 0 ? {} : { pcrValues }),
    logs: logs as Evidence['logs'],
  };
  return { record, evidence };
}

/** The quote of a record, verified by the key and the nonce that the record names. */
export function quoteOf(record: EvidenceRecord): QuoteFacts {
  const { asked, bank, pcrs } = record;
  if (!isHashName(bank)) throw incomplete(record, `it is of the bank ${bank}`);
  const bound = asked.by === 'attestation' ? quoteExtraData : tickExtraDataOfHash;
  return verifyQuote({
    attest: decoded(record.attest),
    signature: decoded(record.signature),
    ak: parsePublic(decoded(record.akPublic)),
    expected: { extraData: bound(decoded(asked.nonce), decoded(asked.hash)), selection: { bank, pcrs } },
  });
}

async function recordedLog(store: Datastore, record: EvidenceRecord, kind: LogKind): Promise<LogPart> {
  const length = record.logs[recordedLogs[kind]];
  if (length < 0) return { kind: 'absent', reason: record.absent[kind] ?? 'the host had none' };
  return { kind: 'bytes', offset: 0, bytes: await readLog(store, record, kind, length) };
}

/** The first `length` bytes of a log of a boot. @throws TouchmarkError `archive_incomplete` */
export async function readLog(
  store: Datastore,
  record: Pick<EvidenceRecord, 'id' | 'hostId' | 'boot'>,
  kind: LogKind,
  length: number,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let at = 0;
  for await (const { key, value } of listPrefix(
    store,
    'evidence_log',
    logPrefix(record.hostId, record.boot, kind),
  )) {
    if (at >= length) break;
    if (pieceOffset(key) !== at) break;
    const bytes = decoded(value.data).subarray(0, length - at);
    chunks.push(bytes);
    at += bytes.length;
  }
  if (at < length) throw incomplete(record, `its ${kind} ends after ${at} of ${length} bytes`);
  return joined(chunks, length);
}

function recordedValues({ pcrValues }: EvidenceRecord): PcrValues {
  return new Map(Object.entries(pcrValues).map(([index, hex]) => [Number(index), Buffer.from(hex, 'hex')]));
}

function decoded(base64: string): Uint8Array {
  return Buffer.from(base64, 'base64');
}

function incomplete({ hostId, id }: Pick<EvidenceRecord, 'hostId' | 'id'>, why: string): TouchmarkError {
  return new TouchmarkError(
    'archive_incomplete',
    `the evidence ${id} of host ${hostId} is not whole: ${why}`,
  );
}
