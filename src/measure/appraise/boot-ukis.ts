import type { HashName } from '../../tpm/algorithms.js';
import type { UkiReference } from '../policy/model.js';
import { KERNEL_PCR } from '../uki/pcr11.js';
import type { SeenEvents } from './boot-events.js';
import type { Compiled } from './compile.js';
import { isSectionsOf } from './uki-lookup.js';

export interface StartedUkis {
  /** Accepted images whose digest is in PCR 4. */
  readonly images: readonly UkiReference[];
  /** Those of them whose sections are exactly what is in PCR 11. */
  readonly measured: readonly UkiReference[];
}

/** Which accepted unified images this boot started. */
export function startedUkis(events: SeenEvents, { ukis }: Compiled, bank: HashName): StartedUkis {
  const images = events(4).flatMap(({ digest }) => ukis.byImage(digest));
  const sections = events(KERNEL_PCR).map(({ digest }) => digest);
  const measured = sections.length === 0 ? [] : images.filter((uki) => isSectionsOf(uki, bank, sections));
  return { images, measured };
}
