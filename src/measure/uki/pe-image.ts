import { TouchmarkError } from '../../errors.js';
import { asBuffer } from '../as-buffer.js';
import type { Finding } from '../finding.js';
import { pathText } from '../path-text.js';
import { type PeCertificate, readCertificates } from './pe-certificates.js';
import { type PeHeader, readHeader } from './pe-header.js';

/** One row of the section table. Offsets and sizes lie within the file. */
export interface PeSection {
  /** At most 8 characters; what is not ASCII as `\xNN`. */
  readonly name: string;
  /** Where it is loaded to, and how much of it the loaded image has. */
  readonly virtualAddress: number;
  readonly virtualSize: number;
  readonly rawOffset: number;
  readonly rawSize: number;
}

/** Bytes from `start` on, `end` not included. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

export interface PeImage {
  readonly bytes: Buffer;
  readonly header: PeHeader;
  /** In the order of the table. */
  readonly sections: readonly PeSection[];
  /** Signatures that are attached; nothing of them is verified here. */
  readonly certificates: readonly PeCertificate[];
  /** What Authenticode hashes, in this order: all but checksum, certificate entry and certificates. */
  readonly hashed: readonly Range[];
  readonly findings: readonly Finding[];
}

/** Larger than any boot image: initial file systems of 300 MB are seen. */
export const MAX_IMAGE = 1024 * 1024 * 1024;
const SECTION_ROW = 40;

/**
 * Reads the headers of an EFI image (PE/COFF). Sections that overlap in the file or reach beyond it are refused, so that
 * whatever is computed from the image takes time in proportion to its size. Does not establish that anybody signed it.
 * @throws TouchmarkError `pe_too_large`, `pe_truncated`, `pe_invalid`
 */
export function parsePe(input: Uint8Array): PeImage {
  if (input.length > MAX_IMAGE) {
    throw new TouchmarkError(
      'pe_too_large',
      `the image has ${input.length} bytes, at most ${MAX_IMAGE} are read`,
    );
  }
  const bytes = asBuffer(input);
  const header = readHeader(bytes);
  const sections = Array.from({ length: header.sectionCount }, (_, index) =>
    readSection(bytes, header.sectionTable + index * SECTION_ROW, index),
  );
  const inFile = inFileOrder(sections, header.sizeOfHeaders);
  const { certificates, findings } = readCertificates(bytes, header.certificates);
  const { hashed, odd } = hashedRanges(bytes.length, header, inFile);
  return { bytes, header, sections, certificates, hashed, findings: [...odd, ...findings] };
}

function readSection(bytes: Buffer, at: number, index: number): PeSection {
  const name = bytes.subarray(at, at + 8);
  const nul = name.indexOf(0);
  const section = {
    name: pathText(nul < 0 ? name : name.subarray(0, nul)),
    virtualSize: bytes.readUInt32LE(at + 8),
    virtualAddress: bytes.readUInt32LE(at + 12),
    rawSize: bytes.readUInt32LE(at + 16),
    rawOffset: bytes.readUInt32LE(at + 20),
  };
  if (section.rawSize === 0 || section.rawOffset + section.rawSize <= bytes.length) return section;
  const message = `the image is cut off: section ${index} ends at ${section.rawOffset + section.rawSize} of ${bytes.length}`;
  throw new TouchmarkError('pe_truncated', message);
}

/** Sections with content as they lie in the file. @throws TouchmarkError `pe_invalid` when two share bytes */
function inFileOrder(sections: readonly PeSection[], sizeOfHeaders: number): PeSection[] {
  const ordered = sections
    .filter(({ rawSize }) => rawSize > 0)
    .sort((a, b) => a.rawOffset - b.rawOffset || a.rawSize - b.rawSize);
  let end = sizeOfHeaders;
  for (const { name, rawOffset, rawSize } of ordered) {
    if (rawOffset < end) {
      const message = `the image has a section ${JSON.stringify(name)} at ${rawOffset}, where other content goes up to ${end}`;
      throw new TouchmarkError('pe_invalid', message);
    }
    end = rawOffset + rawSize;
  }
  return ordered;
}

/**
 * Authenticode, steps 3 to 14: headers, sections, and what is left of the file but the certificates. What is left is
 * counted, as the specification and firmware do it, from the number of bytes hashed and not from the last section's end.
 */
function hashedRanges(
  size: number,
  header: PeHeader,
  inFile: readonly PeSection[],
): { hashed: Range[]; odd: Finding[] } {
  const { checksumAt, certificateEntryAt, sizeOfHeaders, certificates } = header;
  const second = certificateEntryAt ?? sizeOfHeaders;
  const hashed: Range[] = [
    { start: 0, end: checksumAt },
    { start: checksumAt + 4, end: second },
    ...(certificateEntryAt === undefined ? [] : [{ start: certificateEntryAt + 8, end: sizeOfHeaders }]),
    ...inFile.map(({ rawOffset, rawSize }) => ({ start: rawOffset, end: rawOffset + rawSize })),
  ];
  const last = inFile.at(-1);
  const end = last ? last.rawOffset + last.rawSize : sizeOfHeaders;
  if (certificates && certificates.start < end) {
    throw new TouchmarkError(
      'pe_invalid',
      `the image has certificates at ${certificates.start}, inside of its content`,
    );
  }
  const sum = inFile.reduce((total, { rawSize }) => total + rawSize, sizeOfHeaders);
  const left = size - (certificates ? certificates.end - certificates.start : 0);
  if (left > sum) hashed.push({ start: sum, end: left });
  return { hashed, odd: layoutFindings(size, end, sum, certificates) };
}

function layoutFindings(size: number, end: number, sum: number, certificates: Range | undefined): Finding[] {
  const odd: Finding[] = [];
  if (end !== sum) {
    const message = `${end - sum} bytes between the sections belong to none; firmwares differ in how they hash such an image`;
    odd.push({ code: 'pe_gap', event: null, message });
  }
  const behind = certificates ? size - certificates.end : 0;
  if (behind > 0) {
    const message = `${behind} bytes follow the certificates; firmwares differ in how they hash such an image`;
    odd.push({ code: 'pe_trailing_data', event: null, message });
  }
  return odd;
}
