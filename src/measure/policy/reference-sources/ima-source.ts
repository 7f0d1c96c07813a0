import { TouchmarkError } from '../../../errors.js';
import type { HashName } from '../../../tpm/algorithms.js';
import { readImaEntry } from '../../ima/ima-entry.js';
import { contradictions, findingsOf } from '../../ima/ima-findings.js';
import type { ImaRecord } from '../../ima/ima-record.js';
import type { FileReference } from '../model.js';
import {
  literalGlob,
  MAX_FILES,
  type MadeReferences,
  type ReferenceAbout,
  referenceSet,
  sortedFiles,
  tooManyFiles,
} from './reference-set.js';

const usable = {
  file: ['sha1', 'sha256', 'sha384', 'sha512'],
  verity: ['sha256', 'sha512'],
} as const satisfies Record<string, readonly string[]>;
const BOOT_AGGREGATE = 'boot_aggregate';

/**
 * Every distinct file, with its path, that a whole IMA list measured. A list alone proves nothing: take one that a quote
 * vouched for, or that of a host which is known to be good. What nobody vouches for (violations, unknown templates) and
 * what is no file (keys, buffers) is left out, and counted in the notes.
 * @throws TouchmarkError `reference_source_invalid` for a list that does not replay, and what its reader throws
 */
export function imaReferences(
  about: ReferenceAbout,
  records: Iterable<ImaRecord>,
  listDigest: HashName = 'sha1',
): MadeReferences {
  const files = new Map<string, FileReference>();
  const left = new Map<string, number>();
  let first = true;
  for (const record of records) {
    checkRecord(about, record, listDigest, first);
    first = false;
    const file = fileOf(record);
    if (typeof file === 'string') left.set(file, (left.get(file) ?? 0) + 1);
    else if (file) files.set(`${file.digest} ${file.path}`, file);
    if (files.size > MAX_FILES) throw tooManyFiles(about.source);
  }
  if (first) throw new TouchmarkError('reference_source_invalid', `${about.source} holds no entry`);
  const notes = [...left].map(([why, count]) => `${about.source}: ${count} entries left out: ${why}`);
  return { set: referenceSet(about, { files: sortedFiles([...files.values()]) }), notes };
}

/** A list that contradicts itself, or that is a piece of one, was not what a kernel measured. */
function checkRecord(about: ReferenceAbout, record: ImaRecord, listDigest: HashName, first: boolean): void {
  const finding = findingsOf(record, listDigest).find(({ code }) => contradictions.has(code));
  if (finding)
    throw new TouchmarkError(
      'reference_source_invalid',
      `${about.source}, entry ${record.event}: ${finding.message}`,
    );
  if (first && readImaEntry(record).path?.text !== BOOT_AGGREGATE) {
    throw new TouchmarkError(
      'reference_source_invalid',
      `${about.source} does not begin with boot_aggregate`,
    );
  }
}

/** The file that an entry is about, why it is left out, or undefined for what is no file. */
function fileOf(record: ImaRecord): FileReference | string | undefined {
  if (record.violation) return 'written to while they were measured';
  const { fileDigest, path, buffer } = readImaEntry(record);
  if (!fileDigest || !path) return `template ${record.template} is not understood`;
  if (buffer) return 'keys and other data, no files';
  if (path.text === BOOT_AGGREGATE) return undefined;
  const { algorithm, of } = fileDigest;
  if (!usable[of].some((name) => name === algorithm)) return `hash ${algorithm} cannot be a reference`;
  const glob = literalGlob(path.text);
  if (glob === undefined) return 'their path is too long to be a pattern';
  const hex = Buffer.from(fileDigest.digest).toString('hex');
  return { digest: `${of === 'verity' ? 'verity:' : ''}${algorithm}:${hex}`, path: glob };
}
