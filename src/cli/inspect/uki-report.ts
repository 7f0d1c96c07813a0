import { TouchmarkError } from '../../errors.js';
import { hex } from '../../measure/appraise/digest-text.js';
import { pcrsAsJson } from '../../measure/banks.js';
import { authenticodeHash } from '../../measure/uki/authenticode.js';
import { KERNEL_PCR, type Pcr11, predictPcr11 } from '../../measure/uki/pcr11.js';
import type { PeImage } from '../../measure/uki/pe-image.js';
import { commandLineOf, isUki, osReleaseOf, readUki, textOf, type Uki } from '../../measure/uki/uki.js';
import type { UkiProfile, UkiSection } from '../../measure/uki/uki-profiles.js';
import { digest, type HashName } from '../../tpm/algorithms.js';

const banks = ['sha1', 'sha256', 'sha384', 'sha512'] as const satisfies readonly HashName[];

export type UkiReport = ReturnType<typeof ukiReport>;

/** What a host that boots an image will measure, of one of its profiles. @throws TouchmarkError `uki_invalid` */
export function ukiReport(image: PeImage, index: number) {
  const uki = isUki(image) ? readUki(image) : undefined;
  const profile = uki && profileOf(uki, index);
  const pcr11 = new Map(profile ? banks.map((bank) => [bank, predictPcr11(profile, bank)]) : []);
  return {
    format: uki ? 'uki' : 'pe',
    events: profile?.sections.length ?? 0,
    pcrs: pcrsAsJson(new Map([...pcr11].map(([bank, { stub }]) => [bank, new Map([[KERNEL_PCR, stub]])]))),
    findings: uki?.findings ?? image.findings,
    phases: Object.fromEntries([...pcr11].map(([bank, value]) => [bank, phasesOf(value)])),
    authenticode: authenticodeOf(image),
    certificates: image.certificates,
    sections: image.sections,
    ...(uki && profile ? ukiPart(uki, profile) : {}),
  };
}

function profileOf(uki: Uki, index: number): UkiProfile {
  const profile = uki.profiles[index];
  if (profile) return profile;
  throw new TouchmarkError(
    'uki_invalid',
    `the image has ${uki.profiles.length} profiles, and none of number ${index}`,
  );
}

function ukiPart(uki: Uki, profile: UkiProfile) {
  return {
    stub: uki.stub.name,
    profile: profile.index,
    profiles: uki.profiles.length,
    measured: profile.sections.map(sectionDigests),
    choices: profile.choices.map(sectionDigests),
    kernel: uki.kernel ? authenticodeOf(uki.kernel) : null,
    osRelease: osReleaseOf(profile),
    uname: textOf(profile, '.uname').trim(),
    cmdline: commandLineOf(profile),
  };
}

function phasesOf({ phases }: Pcr11): Record<string, string> {
  return Object.fromEntries([...phases].map(([path, value]) => [path, hex(value)]));
}

function authenticodeOf(image: PeImage): Record<string, string> {
  return Object.fromEntries(
    (['sha1', 'sha256', 'sha384'] as const).map((bank) => [bank, hex(authenticodeHash(image, bank))]),
  );
}

function sectionDigests({ name, content }: UkiSection) {
  return { name, size: content.length, sha256: hex(digest('sha256', content)) };
}
