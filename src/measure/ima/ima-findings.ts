import { hash, timingSafeEqual } from 'node:crypto';
import type { HashName } from '../../tpm/algorithms.js';
import type { Finding, FindingCode } from '../finding.js';
import { readImaEntry } from './ima-entry.js';
import type { ImaRecord } from './ima-record.js';
import { digestMatches, IMA_PCR } from './ima-replay.js';
import { fieldsOf } from './ima-template.js';

/** Findings of a list that no kernel writes; the others are remarkable and possible. */
export const contradictions: ReadonlySet<FindingCode> = new Set([
  'ima_template_digest_mismatch',
  'ima_entry_malformed',
  'ima_buffer_digest_mismatch',
]);

const BOOT_AGGREGATE = Buffer.from('boot_aggregate');

/** What is remarkable about one record, whatever the records around it say. */
export function findingsOf(record: ImaRecord, listDigest: HashName = 'sha1'): Finding[] {
  const { event, template } = record;
  const entry = readImaEntry(record);
  const path = JSON.stringify(entry.path?.text ?? '');
  const found: Finding[] = [];
  const add = (code: FindingCode, message: string) => found.push({ code, event, message });
  if (!digestMatches(record, listDigest)) {
    add('ima_template_digest_mismatch', `entry ${path} is not what its template digest is the hash of`);
  }
  if (record.pcr !== IMA_PCR)
    add('ima_pcr_unexpected', `entry ${path} is in PCR ${record.pcr}, not ${IMA_PCR}`);
  if (!fieldsOf(template)) add('ima_template_unknown', `template ${template} is not understood`);
  if (entry.problem)
    add('ima_entry_malformed', `the data is not that of template ${template}: ${entry.problem}`);
  if (record.violation) add('ima_violation', `${path} was written to while it was measured`);
  else if (entry.buffer && entry.fileDigest && !isHashOf(entry.fileDigest, entry.buffer)) {
    add('ima_buffer_digest_mismatch', `the buffer ${path} does not have the digest beside it`);
  }
  const again = entry.path && BOOT_AGGREGATE.equals(entry.path.bytes);
  if (event === 1 && !again) add('ima_boot_aggregate_missing', 'the list does not begin with boot_aggregate');
  if (event > 1 && again) add('ima_boot_aggregate_repeated', 'a second boot_aggregate: kexec, or a forgery');
  return found;
}

/** Hashes that node does not have are left open. */
function isHashOf(said: { algorithm: string; digest: Uint8Array }, bytes: Uint8Array): boolean {
  try {
    const own = hash(said.algorithm, bytes, 'buffer');
    return own.length === said.digest.length && timingSafeEqual(own, said.digest);
  } catch {
    return true;
  }
}
