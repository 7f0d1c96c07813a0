import { TouchmarkError } from '../../errors.js';
import { hex16 } from '../../tpm/algorithms.js';

/** What is needed of the headers in front of the section table (Microsoft PE and COFF specification, 2 to 4). */
export interface PeHeader {
  /** COFF machine type. */
  readonly machine: number;
  readonly format: 'pe32' | 'pe32+';
  readonly sizeOfHeaders: number;
  readonly checksumAt: number;
  /** Where the directory names the certificates; absent from images whose directory is too short for it. */
  readonly certificateEntryAt: number | undefined;
  /** The attribute certificate table. */
  readonly certificates: { readonly start: number; readonly end: number } | undefined;
  readonly sectionTable: number;
  readonly sectionCount: number;
}

/** The same as the loaders of Windows allow. */
const MAX_SECTIONS = 96;
const DOS_HEADER = 64;
const COFF_HEADER = 20;
const CERTIFICATE_DIRECTORY = 4;
const layouts = {
  267: { format: 'pe32', directories: 96 },
  523: { format: 'pe32+', directories: 112 },
} as const;

/** @throws TouchmarkError `pe_truncated`, `pe_invalid` */
export function readHeader(bytes: Buffer): PeHeader {
  need(bytes, 0, DOS_HEADER, 'the DOS header');
  if (bytes.toString('latin1', 0, 2) !== 'MZ') throw invalid('does not begin with MZ');
  const signature = bytes.readUInt32LE(60);
  if (signature < DOS_HEADER) throw invalid(`has its PE header at ${signature}, inside of the DOS header`);
  const coff = signature + 4;
  need(bytes, signature, 4 + COFF_HEADER, 'the COFF header');
  if (bytes.toString('latin1', signature, coff) !== 'PE\0\0')
    throw invalid(`has no PE signature at ${signature}`);
  const sectionCount = bytes.readUInt16LE(coff + 2);
  if (sectionCount === 0 || sectionCount > MAX_SECTIONS)
    throw invalid(`has ${sectionCount} sections, 1 to ${MAX_SECTIONS} are read`);
  const optional = coff + COFF_HEADER;
  const optionalSize = bytes.readUInt16LE(coff + 16);
  const sectionTable = optional + optionalSize;
  need(bytes, optional, optionalSize, 'the optional header');
  need(bytes, sectionTable, sectionCount * 40, 'the section table');
  const { format, directory } = readOptional(bytes, optional, optionalSize);
  const sizeOfHeaders = bytes.readUInt32LE(optional + 60);
  if (sizeOfHeaders > bytes.length || sizeOfHeaders < sectionTable + sectionCount * 40)
    throw invalid(`has headers of ${sizeOfHeaders} bytes, which do not end behind the section table`);
  return {
    machine: bytes.readUInt16LE(coff),
    format,
    sizeOfHeaders,
    checksumAt: optional + 64,
    certificateEntryAt: directory,
    certificates: directory === undefined ? undefined : certificateTable(bytes, directory),
    sectionTable,
    sectionCount,
  };
}

function readOptional(bytes: Buffer, at: number, size: number) {
  const magic = size < 2 ? 0 : bytes.readUInt16LE(at);
  const layout = magic === 267 || magic === 523 ? layouts[magic] : undefined;
  if (!layout) throw invalid(`has an optional header of the unknown kind ${hex16(magic)}`);
  const { format, directories } = layout;
  if (size < directories) throw invalid(`has an optional header of ${size} bytes`);
  const count = bytes.readUInt32LE(at + directories - 4);
  if (count <= CERTIFICATE_DIRECTORY) return { format, directory: undefined };
  const directory = at + directories + CERTIFICATE_DIRECTORY * 8;
  if (directory + 8 > at + size)
    throw invalid(`has an optional header of ${size} bytes and ${count} directories`);
  return { format, directory };
}

function certificateTable(bytes: Buffer, entry: number) {
  const start = bytes.readUInt32LE(entry);
  const size = bytes.readUInt32LE(entry + 4);
  if (size === 0) return undefined;
  need(bytes, start, size, 'the certificate table');
  return { start, end: start + size };
}

function need(bytes: Buffer, at: number, size: number, what: string): void {
  if (at + size <= bytes.length) return;
  const message = `the image is cut off: ${what} takes ${size} bytes at offset ${at} of ${bytes.length}`;
  throw new TouchmarkError('pe_truncated', message);
}

function invalid(what: string): TouchmarkError {
  return new TouchmarkError('pe_invalid', `the image ${what}`);
}
