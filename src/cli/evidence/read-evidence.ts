/** An exported evidence directory, read back: bounded, and checked for its shape before anything looks at it. */
import { join } from 'node:path';
import { messageOf, TouchmarkError } from '../../errors.js';
import { readFileBounded } from '../../host/atomic-file.js';
import { type LogKind, logKinds } from '../../measure/appraise/contract.js';
import {
  EVIDENCE_FILE,
  EVIDENCE_FORMAT,
  type EvidenceDocument,
  logFiles,
  POLICY_FILE,
} from '../../server/api/evidence-files.js';
import type { EvidenceRecord } from '../../server/model.js';
import { isHashName } from '../../tpm/algorithms.js';

export interface ExportedEvidence {
  readonly document: EvidenceDocument;
  /** A log that the host did not have is not there. */
  readonly logs: Readonly<Partial<Record<LogKind, Uint8Array>>>;
  /** `policy.json` as it is; undefined: none applied, or it was not kept. */
  readonly policy: Uint8Array | undefined;
}

const MIB = 1024 * 1024;
const limits = { document: 4 * MIB, log: 64 * MIB, policy: 256 * MIB } as const;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;
const MAX_FIELD = 8192;

/** @throws TouchmarkError `evidence_directory_invalid`, `file_unreadable`, `file_too_large` */
export function readEvidenceDirectory(directory: string): Promise<ExportedEvidence> {
  return readWith(async (file, limit) => {
    const path = join(directory, file);
    try {
      return await readFileBounded(path, limit);
    } catch (cause) {
      if (cause instanceof TouchmarkError) throw cause;
      throw new TouchmarkError('file_unreadable', `cannot read ${path}: ${messageOf(cause)}`, { cause });
    }
  });
}

/** The same, as it comes from the server. */
export function readEvidenceFiles(files: ReadonlyMap<string, Uint8Array>): Promise<ExportedEvidence> {
  return readWith(async (file) => files.get(file));
}

async function readWith(
  read: (file: string, limit: number) => Promise<Uint8Array | undefined>,
): Promise<ExportedEvidence> {
  const bytes = await read(EVIDENCE_FILE, limits.document);
  if (bytes === undefined) throw invalid(`there is no ${EVIDENCE_FILE} in it`);
  const document = checkDocument(parse(EVIDENCE_FILE, bytes));
  const logs: Partial<Record<LogKind, Uint8Array>> = {};
  for (const kind of logKinds) {
    const log = await read(logFiles[kind], limits.log);
    if (log !== undefined) logs[kind] = log;
  }
  return { document, logs, policy: await read(POLICY_FILE, limits.policy) };
}

export function parse(file: string, bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (cause) {
    throw invalid(`${file} is not JSON: ${messageOf(cause)}`);
  }
}

/** Shapes only: what the values are worth is for `examine` to find out. */
function checkDocument(value: unknown): EvidenceDocument {
  const document = objectOf('it', value);
  if (document['format'] !== EVIDENCE_FORMAT)
    throw invalid(`${EVIDENCE_FILE} is not of the format ${EVIDENCE_FORMAT}`);
  textOf(document, 'trustDomain');
  const record = objectOf('record', document['record']);
  for (const name of ['id', 'hostId', 'boot', 'policyId', 'verdict']) textOf(record, name);
  for (const name of ['akPublic', 'attest', 'signature']) base64Of(record, name);
  const asked = objectOf('asked', record['asked']);
  if (asked['by'] !== 'attestation' && asked['by'] !== 'tick')
    throw invalid('asked.by is neither attestation nor tick');
  for (const name of ['nonce', 'hash']) base64Of(asked, name);
  checkNumber('at', record['at'], Number.MAX_SAFE_INTEGER);
  checkRegisters(record);
  const logs = objectOf('logs', record['logs']);
  for (const name of ['bootLog', 'userspaceLog', 'imaList'])
    checkNumber(`logs.${name}`, logs[name], limits.log, -1);
  objectOf('absent', record['absent']);
  checkComponents(record['components']);
  if (document['host'] !== undefined) checkHost(objectOf('host', document['host']));
  return value as EvidenceDocument;
}

function checkRegisters(record: Readonly<Record<string, unknown>>): void {
  const { bank, pcrs } = record;
  if (typeof bank !== 'string' || !isHashName(bank)) throw invalid('bank is not the name of a hash');
  if (!Array.isArray(pcrs) || pcrs.length > 24) throw invalid('pcrs is not a list of registers');
  for (const pcr of pcrs) checkNumber('pcrs', pcr, 23);
  for (const [index, hex] of Object.entries(objectOf('pcrValues', record['pcrValues']))) {
    checkNumber('pcrValues', Number(index), 23);
    if (typeof hex !== 'string' || !/^([0-9a-f]{2}){20,64}$/.test(hex))
      throw invalid(`pcrValues.${index} is not hex`);
  }
}

function checkComponents(value: unknown): asserts value is EvidenceRecord['components'] {
  if (!Array.isArray(value) || value.length > 32) throw invalid('components is not a list');
  for (const one of value) {
    const component = objectOf('component', one);
    for (const name of ['component', 'result']) textOf(component, name);
    const { reasons } = component;
    if (!Array.isArray(reasons)) throw invalid('a component has no list of reasons');
    for (const reason of reasons) textOf(objectOf('reason', reason), 'code');
  }
}

function checkHost(host: Readonly<Record<string, unknown>>): void {
  for (const name of ['id', 'name', 'akName', 'enrolledBy']) textOf(host, name);
  if (!Array.isArray(host['eks'])) throw invalid('host has no list of endorsement keys');
  for (const one of host['eks']) {
    const ek = objectOf('an endorsement key', one);
    for (const name of ['hash', 'algorithm', 'manufacturer', 'model', 'issuer', 'anchor']) textOf(ek, name);
  }
}

function objectOf(name: string, value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw invalid(`${name} is not an object`);
}

function textOf(map: Readonly<Record<string, unknown>>, name: string): string {
  const value = map[name];
  if (typeof value === 'string' && value.length <= MAX_FIELD) return value;
  throw invalid(`${name} is not a text of at most ${MAX_FIELD} characters`);
}

function base64Of(map: Readonly<Record<string, unknown>>, name: string): void {
  if (!BASE64.test(textOf(map, name))) throw invalid(`${name} is not base64`);
}

function checkNumber(name: string, value: unknown, most: number, least = 0): void {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least && value <= most) return;
  throw invalid(`${name} is not a whole number of at most ${most}`);
}

export function invalid(why: string): TouchmarkError {
  return new TouchmarkError('evidence_directory_invalid', `this is not exported evidence: ${why}`);
}
