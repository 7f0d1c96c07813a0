import { messageOf, TouchmarkError } from '../../../errors.js';
import { isJsonObject, type JsonValue, parseJson } from '../../../spiffe/json.js';
import { hashByName, isHashName } from '../../../tpm/algorithms.js';
import { type PcrMeasurement, pcrReferences, usedBanks } from './pcr-references.js';
import { labelText, type MadeReferences, type ReferenceAbout, referenceSet } from './reference-set.js';

const MAX_FILE = 4 * 1024 * 1024;
const MAX_RECORDS = 5_000;
const MAX_DIGESTS = 16;
const MAX_PCR = 23;

/**
 * A `.pcrlock` file of systemd (systemd.pcrlock(5)): measurements of one component of the boot, in the JSON form of the TCG
 * Canonical Event Log. Variants of a component are further files, and simply add to the set.
 * @throws TouchmarkError `reference_source_invalid`
 */
export function pcrlockReferences(about: ReferenceAbout, bytes: Uint8Array): MadeReferences {
  const records = recordsOf(about.source, bytes);
  const measured = records.map((record, index) => readRecord(record, index, about.source));
  const { parts, left } = pcrReferences(measured);
  const notes = left.map((pcr) => `${about.source}: measurements of PCR ${pcr} are judged by no component`);
  const hashes = [...new Set(measured.flatMap(({ digests }) => [...digests.keys()]))];
  if (usedBanks(measured).length === 0)
    notes.push(
      `${about.source}: its digests are of ${hashes.map(labelText).join(', ')}; SHA-256, SHA-384 and SHA-1 are taken`,
    );
  return { set: referenceSet(about, parts), notes };
}

/** The list alone, or under `records`. */
function recordsOf(source: string, bytes: Uint8Array): JsonValue[] {
  const document = readDocument(source, bytes);
  const records = isJsonObject(document) ? document['records'] : document;
  if (Array.isArray(records) && records.length > 0 && records.length <= MAX_RECORDS) return records;
  throw invalid(source, `holds no list of 1 to ${MAX_RECORDS} records`);
}

function readDocument(source: string, bytes: Uint8Array): JsonValue {
  try {
    return parseJson(bytes, { maxLength: MAX_FILE });
  } catch (cause) {
    throw invalid(source, `is not JSON: ${messageOf(cause)}`, cause);
  }
}

function readRecord(record: JsonValue, index: number, source: string): PcrMeasurement {
  const pcr = isJsonObject(record) ? record['pcr'] : undefined;
  const list = isJsonObject(record) ? record['digests'] : undefined;
  if (typeof pcr !== 'number' || !Number.isInteger(pcr) || pcr < 0 || pcr > MAX_PCR)
    throw invalid(source, `names no PCR in record ${index}`);
  if (!Array.isArray(list) || list.length === 0 || list.length > MAX_DIGESTS)
    throw invalid(source, `has no list of 1 to ${MAX_DIGESTS} digests in record ${index}`);
  const digests = new Map(list.map((item) => readDigest(item, index, source)));
  if (digests.size < list.length) throw invalid(source, `has two digests of one hash in record ${index}`);
  return { pcr, digests, label: `${labelText(source)}, PCR ${pcr}, record ${index}` };
}

function readDigest(item: JsonValue, index: number, source: string): [string, Uint8Array] {
  const { hashAlg, digest } = isJsonObject(item) ? item : {};
  const hex = typeof digest === 'string' && /^([0-9a-f]{2}){1,64}$/i.test(digest) ? digest : '';
  if (typeof hashAlg !== 'string' || hex === '') throw invalid(source, `has no digest in record ${index}`);
  const bytes = Buffer.from(hex, 'hex');
  if (isHashName(hashAlg) && hashByName(hashAlg).size !== bytes.length)
    throw invalid(source, `has a ${hashAlg} digest of ${bytes.length} bytes in record ${index}`);
  return [hashAlg, bytes];
}

function invalid(source: string, what: string, cause?: unknown): TouchmarkError {
  return new TouchmarkError('reference_source_invalid', `${source} ${what}`, { cause });
}
