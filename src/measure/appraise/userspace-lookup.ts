import { compileGlob } from '../policy/glob.js';
import type { Digest, UserspaceRule } from '../policy/model.js';
import { bootPhases, KERNEL_PCR } from '../uki/pcr11.js';

export interface UserspaceLookup {
  readonly digests: ReadonlySet<Digest>;
  /** Whether a text may be measured into a register. That it was is for the digest to show. */
  acceptsText(text: string, pcr: number): boolean;
}

const phases: ReadonlySet<string> = new Set(bootPhases);

export function userspaceLookup(
  digests: ReadonlySet<Digest>,
  rule: UserspaceRule | undefined,
): UserspaceLookup {
  const globs = (rule?.accept ?? []).map(compileGlob);
  return {
    digests,
    acceptsText: (text, pcr) =>
      (pcr === KERNEL_PCR && phases.has(text)) || globs.some((matches) => matches(text)),
  };
}
