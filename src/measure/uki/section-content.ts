import { TouchmarkError } from '../../errors.js';
import type { PeImage, PeSection } from './pe-image.js';

/** Zeros that a loader adds to a section of data; those of a kernel image have none. */
const MAX_FILL = 16 * 1024 * 1024;

/**
 * A section as it lies in memory when it is measured: the padding of the file left out, what the file does not have as
 * zeros. A view of the image where no zeros are needed.
 * @throws TouchmarkError `pe_invalid` for a section that is nearly all zeros
 */
export function sectionContent({ bytes }: PeImage, section: PeSection): Buffer {
  const { name, rawOffset, rawSize, virtualSize } = section;
  const inFile = bytes.subarray(rawOffset, rawOffset + Math.min(rawSize, virtualSize));
  const fill = virtualSize - inFile.length;
  if (fill === 0) return inFile;
  if (fill > MAX_FILL) {
    const message = `the image has a section ${JSON.stringify(name)} of ${virtualSize} bytes, of which the file has ${rawSize}`;
    throw new TouchmarkError('pe_invalid', message);
  }
  return Buffer.concat([inFile, Buffer.alloc(fill)]);
}

/** The same as text, which ends at its first NUL. */
export function sectionText(content: Buffer): string {
  const nul = content.indexOf(0);
  return content.toString('utf8', 0, nul < 0 ? content.length : nul);
}
