import type { HashName } from '../../tpm/algorithms.js';
import type { Digest, UkiReference } from '../policy/model.js';
import { KERNEL_PCR } from '../uki/pcr11.js';
import type { SeenEvents } from './boot-events.js';
import type { Compiled } from './compile.js';
import { isSectionsOf, sectionDigests } from './uki-lookup.js';

export interface StartedUkis {
  /** Of the accepted images whose digest is in PCR 4 those whose sections are exactly what is in PCR 11. */
  readonly measured: readonly UkiReference[];
  /** What any of those images hands to the kernel, whose own stub measures it. */
  readonly initrds: ReadonlySet<Digest>;
}

/** Which accepted unified images this boot started, each once however often it did. */
export function startedUkis(events: SeenEvents, { ukis }: Compiled, bank: HashName): StartedUkis {
  const images = [...new Set(events(4).flatMap(({ digest }) => ukis.byImage(digest)))];
  const sections = events(KERNEL_PCR).map(({ digest }) => digest);
  const measured = sections.length === 0 ? [] : images.filter((uki) => isSectionsOf(uki, bank, sections));
  const initrds = new Set(images.flatMap((uki) => sectionDigests(uki, '.initrd')));
  return { measured, initrds };
}
