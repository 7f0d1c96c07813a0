import type { PeImage } from './pe-image.js';
import { sectionReader } from './section-content.js';

/** Sections of a unified kernel image in the order in which systemd-stub measures them. Never the signature of the result. */
export const canonicalOrder = [
  '.linux',
  '.osrel',
  '.cmdline',
  '.initrd',
  '.ucode',
  '.splash',
  '.dtb',
  '.uname',
  '.sbat',
  '.pcrsig',
  '.pcrpkey',
  '.profile',
  '.dtbauto',
  '.hwids',
  '.efifw',
] as const;
export type UkiSectionName = (typeof canonicalOrder)[number];

/** Measured, if at all, only where it fits the hardware; there may be several. */
export const hardwareDependent: ReadonlySet<string> = new Set(['.dtbauto', '.efifw']);

export interface Stub {
  /** `systemd-stub 252.39`; empty when the image does not say it. */
  readonly name: string;
  /** Sections that this stub knows, and so measures, in canonical order. */
  readonly knows: readonly UkiSectionName[];
  /** Whether nothing tells which those are, so that all are taken. */
  readonly unknown: boolean;
}

const names: ReadonlySet<string> = new Set(canonicalOrder);
const INFO = '#### LoaderInfo: ';

/**
 * What the stub in front of the payload measures. Each version of systemd knew more sections than the one before
 * (252 leaves `.uname` and `.sbat` out), and distributions backport; the stub's own data names those that it looks for.
 */
export function stubOf(image: PeImage): Stub {
  const own = image.sections
    .filter(({ name }) => !names.has(name))
    .map(({ rawOffset, rawSize }) => image.bytes.subarray(rawOffset, rawOffset + rawSize));
  const knows = canonicalOrder.filter((name) => own.some((part) => part.includes(`${name}\0`, 0, 'latin1')));
  const unknown = !knows.includes('.linux');
  return { name: stubName(image), knows: unknown ? canonicalOrder : knows, unknown };
}

function stubName(image: PeImage): string {
  const section = image.sections.find(({ name, rawSize }) => name === '.sdmagic' && rawSize <= 4096);
  if (!section || section.virtualSize > 4096) return '';
  const text = sectionReader(image)(section).toString('latin1');
  const start = text.indexOf(INFO);
  const end = text.indexOf(' ####', start + INFO.length);
  return start < 0 || end < 0 ? '' : text.slice(start + INFO.length, end).replace(/[^\x20-\x7e]/g, '?');
}
