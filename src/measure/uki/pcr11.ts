import { digest, type HashName } from '../../tpm/algorithms.js';
import { extend, startValue } from '../banks.js';
import type { UkiProfile } from './uki-profiles.js';

/** PCR that systemd-stub measures the sections of a unified kernel image into. */
export const KERNEL_PCR = 11;

/** What systemd measures while a host boots, each as text without NUL, in this order. */
export const bootPhases = ['enter-initrd', 'leave-initrd', 'sysinit', 'ready'] as const;

export interface Pcr11 {
  /** When the kernel starts. */
  readonly stub: Uint8Array;
  /** After each phase, by the phases so far joined by colons, as systemd names them. */
  readonly phases: ReadonlyMap<string, Uint8Array>;
}

/** Digests that one profile extends PCR 11 with: of the name and its NUL, then of the content, section by section. */
export function stubDigests({ sections }: UkiProfile, bank: HashName): Uint8Array[] {
  return sections.flatMap(({ name, content }) => [
    digest(bank, Buffer.from(`${name}\0`, 'latin1')),
    digest(bank, content),
  ]);
}

/**
 * PCR 11 of a host that boots the image: at the end of the stub, and after the phases of user space that follow. A host
 * that has anything else measured there, or whose hardware makes the stub choose a device tree, has another value.
 */
export function predictPcr11(profile: UkiProfile, bank: HashName): Pcr11 {
  let value = startValue(bank, KERNEL_PCR);
  for (const by of stubDigests(profile, bank)) value = extend(bank, value, by);
  const stub = value;
  const phases = new Map<string, Uint8Array>();
  let path = '';
  for (const phase of bootPhases) {
    path = path === '' ? phase : `${path}:${phase}`;
    value = extend(bank, value, digest(bank, Buffer.from(phase)));
    phases.set(path, value);
  }
  return { stub, phases };
}
