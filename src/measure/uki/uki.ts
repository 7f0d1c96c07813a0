import { TouchmarkError } from '../../errors.js';
import type { Finding } from '../finding.js';
import { parseOsRelease } from './os-release.js';
import { type PeImage, type PeSection, parsePe } from './pe-image.js';
import { sectionText } from './section-content.js';
import { canonicalOrder, hardwareDependent, type Stub, stubOf } from './stub.js';
import { profilesOf, type UkiProfile } from './uki-profiles.js';

export interface Uki {
  readonly image: PeImage;
  readonly stub: Stub;
  /** At least one. */
  readonly profiles: readonly UkiProfile[];
  /** The image in `.linux`, which most stubs have the firmware load and measure; undefined when it is none. */
  readonly kernel: PeImage | undefined;
  readonly findings: readonly Finding[];
}

/** The kernel itself takes command lines of 2 or 4 kB. */
const MAX_TEXT = 64 * 1024;
const known: ReadonlySet<string> = new Set(canonicalOrder);

/** Whether an EFI image claims to be a unified kernel image. */
export function isUki(image: PeImage): boolean {
  return image.sections.some(({ name, virtualSize }) => name === '.linux' && virtualSize > 0);
}

/**
 * Reads a unified kernel image (UAPI group's specification, systemd-stub(7)). Establishes what the file is and what a
 * host that boots it will measure, not that anybody made or signed it.
 * @throws TouchmarkError `pe_too_large`, `pe_truncated`, `pe_invalid`, `uki_invalid`
 */
export function parseUki(input: Uint8Array): Uki {
  return readUki(parsePe(input));
}

export function readUki(image: PeImage): Uki {
  const stub = stubOf(image);
  const { profiles, findings } = profilesOf(image, stub);
  const linux = profiles[0]?.sections.find(({ name }) => name === '.linux');
  if (!linux) throw new TouchmarkError('uki_invalid', 'the image has no section .linux outside of profiles');
  const kernel = innerImage(linux.content);
  return {
    image,
    stub,
    profiles,
    kernel,
    findings: [
      ...image.findings,
      ...stubFindings(image, stub),
      ...findings,
      ...overlaps(image.sections),
      ...(kernel ? [] : [note('uki_kernel_not_pe', 'what is in .linux is no EFI image')]),
    ],
  };
}

/** The embedded command line of a profile, as systemd-stub passes it on; empty: the image has none. */
export function commandLineOf(profile: UkiProfile): string {
  return textOf(profile, '.cmdline')
    .replace(/\p{Cc}/gu, ' ')
    .trim();
}

export function osReleaseOf(profile: UkiProfile): Record<string, string> {
  return parseOsRelease(textOf(profile, '.osrel'));
}

/** Text of a section of the profile; empty when it has none. @throws TouchmarkError `uki_invalid` when it is too long for one */
export function textOf(profile: UkiProfile, name: string): string {
  const content = profile.sections.find((row) => row.name === name)?.content ?? Buffer.alloc(0);
  if (content.length <= MAX_TEXT) return sectionText(content);
  throw new TouchmarkError(
    'uki_invalid',
    `the image has a section ${name} of ${content.length} bytes, too long for text`,
  );
}

function innerImage(content: Buffer): PeImage | undefined {
  try {
    return parsePe(content);
  } catch (error) {
    if (error instanceof TouchmarkError) return undefined;
    throw error;
  }
}

function stubFindings(image: PeImage, stub: Stub): Finding[] {
  const findings: Finding[] = [];
  if (stub.unknown)
    findings.push(
      note('uki_stub_unknown', 'the stub does not tell which sections it measures: all are taken'),
    );
  for (const name of new Set(image.sections.map((section) => section.name))) {
    if (!known.has(name) || name === '.pcrsig') continue;
    if (!stub.knows.some((row) => row === name))
      findings.push(note('uki_section_unmeasured', `this stub does not measure ${name}`));
    else if (hardwareDependent.has(name))
      findings.push(note('uki_hardware_dependent', `whether ${name} is measured depends on the hardware`));
  }
  return findings;
}

/** Loaded over one another: what is measured is not what the file says. */
function overlaps(sections: readonly PeSection[]): Finding[] {
  const loaded = sections
    .filter(({ virtualSize }) => virtualSize > 0)
    .sort((a, b) => a.virtualAddress - b.virtualAddress);
  return loaded.flatMap((section, index) => {
    const next = loaded[index + 1];
    if (!next || section.virtualAddress + section.virtualSize <= next.virtualAddress) return [];
    const both = `${JSON.stringify(section.name)} and ${JSON.stringify(next.name)}`;
    return [
      note(
        'uki_section_overlap',
        `${both} overlap in memory, so what is measured cannot be told from the file`,
      ),
    ];
  });
}

function note(code: Finding['code'], message: string): Finding {
  return { code, event: null, message };
}
