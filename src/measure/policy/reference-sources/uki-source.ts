import { TouchmarkError } from '../../../errors.js';
import { digest, type HashName } from '../../../tpm/algorithms.js';
import { authenticodeHash } from '../../uki/authenticode.js';
import { predictPcr11 } from '../../uki/pcr11.js';
import type { PeImage } from '../../uki/pe-image.js';
import { canonicalOrder } from '../../uki/stub.js';
import { commandLineOf, osReleaseOf, parseUki, textOf, type Uki } from '../../uki/uki.js';
import type { UkiProfile, UkiSection } from '../../uki/uki-profiles.js';
import type { UkiReference } from '../model.js';
import {
  descriptionText,
  digestText,
  labelText,
  type MadeReferences,
  type ReferenceAbout,
  referenceSet,
} from './reference-set.js';

/** Banks that policies are written in. */
const banks = ['sha256', 'sha384'] as const satisfies readonly HashName[];
/** Accepted contents of one section. */
const MAX_DIGESTS = 64;

/**
 * What hosts measure that boot a unified kernel image: one reference for each of its profiles. That the image is the
 * one that somebody built and signed is for the operator to know.
 * @throws TouchmarkError as `parseUki`
 */
export function ukiReferences(about: ReferenceAbout, bytes: Uint8Array): MadeReferences {
  const uki = parseUki(bytes);
  const image = imageDigests(uki.image);
  const kernel = uki.kernel ? imageDigests(uki.kernel) : [];
  const ukis = uki.profiles.map((profile): UkiReference => {
    const label = labelOf(uki, profile, about.source);
    return { label, image, kernel, sections: sectionsOf(profile), commandLine: commandLineOf(profile) };
  });
  const description = descriptionText(
    uki.profiles.map((profile, index) => descriptionOf(ukis[index]?.label ?? '', profile)),
  );
  const notes = uki.findings.map(({ message }) => `${about.source}: ${message}`);
  return { set: referenceSet(about, { description, ukis }), notes };
}

function imageDigests(image: PeImage): string[] {
  return banks.map((bank) => digestText(bank, authenticodeHash(image, bank)));
}

/** Where the hardware chooses among several of a name, all of them are accepted. */
function sectionsOf({ sections, choices }: UkiProfile): UkiReference['sections'] {
  return canonicalOrder.flatMap((name) => {
    const contents = [...sections, ...choices].filter((section) => section.name === name);
    if (contents.length === 0) return [];
    return [{ name, digests: contentDigests(contents) }];
  });
}

/** In all banks, or of very many contents in the one that every chip has. */
function contentDigests(contents: readonly UkiSection[]): string[] {
  const used = contents.length * banks.length <= MAX_DIGESTS ? banks : banks.slice(0, 1);
  const digests = contents.flatMap(({ content }) =>
    used.map((bank) => digestText(bank, digest(bank, content))),
  );
  if (contents.length <= MAX_DIGESTS) return [...new Set(digests)];
  const what = `the image has ${contents.length} sections ${contents[0]?.name}, at most ${MAX_DIGESTS} are taken`;
  throw new TouchmarkError('reference_source_too_large', what);
}

function labelOf({ profiles }: Uki, profile: UkiProfile, source: string): string {
  const release = osReleaseOf(profile);
  const system = release['PRETTY_NAME'] ?? release['NAME'] ?? release['ID'] ?? '';
  const image = [release['IMAGE_ID'], release['IMAGE_VERSION']].filter((part) => part !== undefined);
  const number = profiles.length > 1 ? `profile ${profile.index}` : '';
  const parts = [system, ...image, textOf(profile, '.uname'), number].map(labelText);
  return labelText(parts.filter((part) => part !== '').join(' ')) || labelText(source);
}

/** For people who compare with a host by hand; judged is event by event. */
function descriptionOf(label: string, profile: UkiProfile): string {
  const hex = (value: Uint8Array | undefined) => Buffer.from(value ?? []).toString('hex');
  const { stub, phases } = predictPcr11(profile, 'sha256');
  const ready = [...phases.values()].at(-1);
  return `${label}: PCR 11 (sha256) is ${hex(stub)} when the kernel starts and ${hex(ready)} when the system is ready`;
}
