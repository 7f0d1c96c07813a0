import { TouchmarkError } from '../../errors.js';
import type { PeImage, PeSection } from './pe-image.js';

/** Zeros that a loader adds to all sections of an image together; those of a kernel image have none. */
const MAX_FILL = 16 * 1024 * 1024;

/** Gives each section's content once, however often it is asked for. */
export type SectionReader = (section: PeSection) => Buffer;

/**
 * Sections as they lie in memory when they are measured: the padding of the file left out, what the file does not have as
 * zeros. Views of the image where no zeros are needed.
 * The reader throws TouchmarkError `pe_invalid` for an image that is nearly all zeros.
 */
export function sectionReader({ bytes }: PeImage): SectionReader {
  const made = new Map<PeSection, Buffer>();
  let filled = 0;
  return (section) => {
    const known = made.get(section);
    if (known) return known;
    const { name, rawOffset, rawSize, virtualSize } = section;
    const inFile = bytes.subarray(rawOffset, rawOffset + Math.min(rawSize, virtualSize));
    const fill = virtualSize - inFile.length;
    filled += fill;
    if (filled > MAX_FILL) {
      const message = `the image has a section ${JSON.stringify(name)} of ${virtualSize} bytes, of which the file has ${rawSize}: with those before it more than ${MAX_FILL} bytes are missing`;
      throw new TouchmarkError('pe_invalid', message);
    }
    const content = fill === 0 ? inFile : Buffer.concat([inFile, Buffer.alloc(fill)]);
    made.set(section, content);
    return content;
  };
}

/** The same as text, which ends at its first NUL. */
export function sectionText(content: Buffer): string {
  const nul = content.indexOf(0);
  return content.toString('utf8', 0, nul < 0 ? content.length : nul);
}
