import { TouchmarkError } from '../errors.js';
import { digest } from './algorithms.js';
import { type Anchor, type AnchorSet, type Assurance, makeAnchorSet, readAll } from './anchors.js';
import type { TpmCertificate } from './certificate.js';

/** data/ek-anchors/index.json: what is in the PEM files beside it, where it came from, and what each row is worth. */
interface AnchorIndex {
  version: string;
  files: { name: string; role: 'anchors' | 'intermediates'; sha256: string }[];
  certificates: IndexRow[];
}

interface IndexRow {
  /** SHA-256 of the DER, lower-case hex. */
  sha256: string;
  role: 'anchor' | 'intermediate';
  vendor: string;
  name: string;
  assurance?: Assurance;
  sha1?: boolean;
}

/**
 * Reads a versioned set: the index and the files that it names. Every certificate must be listed and every row must be there, so that
 * nothing enters the set unseen.
 * @param readFile gives the text of a file beside the index
 */
export function readAnchorIndex(indexText: string, readFile: (name: string) => string): AnchorSet {
  const index = parseIndex(indexText);
  const rows = new Map(index.certificates.map((row) => [row.sha256, row]));
  const anchors: Anchor[] = [];
  const intermediates: TpmCertificate[] = [];
  for (const file of index.files) {
    for (const certificate of readListed(file, readFile)) {
      const row = rows.get(certificate.fingerprint);
      rows.delete(certificate.fingerprint);
      if (row?.role === 'anchor' && file.role === 'anchors') anchors.push(anchorOf(certificate, row));
      else if (row?.role === 'intermediate' && file.role === 'intermediates') intermediates.push(certificate);
      else
        throw invalid(
          `certificate ${certificate.fingerprint} in ${file.name} is not listed as one of ${file.role}`,
        );
    }
  }
  const [missing] = rows.keys();
  if (missing !== undefined) throw invalid(`certificate ${missing} is listed but in none of the files`);
  return makeAnchorSet(index.version, anchors, intermediates);
}

function readListed(
  file: AnchorIndex['files'][number],
  readFile: (name: string) => string,
): TpmCertificate[] {
  const text = readFile(file.name);
  const found = Buffer.from(digest('sha256', Buffer.from(text))).toString('hex');
  if (found !== file.sha256)
    throw invalid(`${file.name} has the SHA-256 ${found}, but ${file.sha256} is listed`);
  return readAll(text);
}

function anchorOf(certificate: TpmCertificate, row: IndexRow): Anchor {
  const { name, vendor, assurance = 'hardware', sha1 = false } = row;
  return { certificate, name, vendor, assurance, sha1 };
}

function parseIndex(text: string): AnchorIndex {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new TouchmarkError('anchors_invalid', 'the index of the anchors is not JSON', { cause });
  }
  if (isIndex(value)) return value;
  throw invalid('the index has no version, or a file or certificate row without its fields');
}

function isIndex(value: unknown): value is AnchorIndex {
  if (!isRecord(value) || typeof value['version'] !== 'string') return false;
  const { files, certificates } = value;
  const isFile = (row: unknown) =>
    isRecord(row) &&
    texts(row, 'name', 'sha256') &&
    ['anchors', 'intermediates'].includes(String(row['role']));
  const isRow = (row: unknown) =>
    isRecord(row) &&
    texts(row, 'name', 'sha256', 'vendor') &&
    ['anchor', 'intermediate'].includes(String(row['role'])) &&
    ['hardware', 'virtual', undefined].includes(row['assurance'] as string | undefined) &&
    ['boolean', 'undefined'].includes(typeof row['sha1']);
  return (
    Array.isArray(files) && files.every(isFile) && Array.isArray(certificates) && certificates.every(isRow)
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function texts(row: Record<string, unknown>, ...names: readonly string[]): boolean {
  return names.every((name) => typeof row[name] === 'string');
}

function invalid(message: string): TouchmarkError {
  return new TouchmarkError('anchors_invalid', message);
}
