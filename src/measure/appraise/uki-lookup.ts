import { digest, type HashName } from '../../tpm/algorithms.js';
import type { Digest, ReferenceSet, UkiReference } from '../policy/model.js';
import { hardwareDependent } from '../uki/stub.js';
import { digestText } from './digest-text.js';

export interface UkiLookup {
  readonly all: readonly UkiReference[];
  /** Those whose whole image has this digest. */
  byImage(image: Digest): readonly UkiReference[];
  /** Whether a section of any of them has this content. */
  hasContent(content: Digest): boolean;
}

export function ukiLookup(sets: readonly ReferenceSet[]): UkiLookup {
  const all = sets.flatMap(({ ukis }) => ukis);
  const images = new Map<Digest, UkiReference[]>();
  for (const uki of all) {
    for (const image of uki.image) images.set(image, [...(images.get(image) ?? []), uki]);
  }
  const contents = new Set(all.flatMap(({ sections }) => sections.flatMap(({ digests }) => digests)));
  return {
    all,
    byImage: (image) => images.get(image) ?? [],
    hasContent: (content) => contents.has(content),
  };
}

/** What the stub measures of a section before its content: the name with its NUL. */
export function sectionNameDigest(bank: HashName, name: string): Digest {
  return digestText(bank, digest(bank, Buffer.from(`${name}\0`, 'latin1')));
}

/**
 * Whether measured digests, in their order, are those of the sections of one image: each name, then its content, all of
 * them and nothing else. Where a section is measured on some hardware only, it may be missing.
 */
export function isSectionsOf(uki: UkiReference, bank: HashName, measured: readonly Digest[]): boolean {
  let at = 0;
  for (const { name, digests } of uki.sections) {
    const [named, content] = [measured[at], measured[at + 1]];
    const matches =
      named === sectionNameDigest(bank, name) && content !== undefined && digests.includes(content);
    if (matches) at += 2;
    else if (!hardwareDependent.has(name)) return false;
  }
  return at === measured.length;
}

/** Content digest of one section of an image. */
export function sectionDigests(uki: UkiReference, section: string): readonly Digest[] {
  return uki.sections.filter(({ name }) => name === section).flatMap(({ digests }) => digests);
}
