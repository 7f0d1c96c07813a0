import type { CommandLineRule, RuntimeRule } from '../policy/model.js';
import { uncertainKexec } from './judge-kernel.js';
import { registersTally, type Shown } from './shown.js';
import { isAsStrict } from './strictness.js';
import { allOf, emptyTally, type Tally } from './tally.js';

/** Registers in which a command line may stand. */
export const linePcrs = [8, 9, 11, 12] as const;

/**
 * Where the line that the kernel was given may be hidden from the command line rule. A boot chain rule that is as strict
 * looks there itself, but at digests alone.
 */
export function linesHiddenFrom(rule: CommandLineRule, shown: Shown): Tally {
  const { untold } = shown.userspace;
  if (isAsStrict(shown.compiled.policy.bootChain, rule)) return untold;
  return allOf(uncertainOf(rule, shown), untold, uncertainKexec(shown));
}

/** The same for the run-time rule, which rests on the IMA rules that the line sets. */
export function rulesHiddenFrom(rule: RuntimeRule, shown: Shown): Tally {
  const { bootChain, commandLine } = shown.compiled.policy;
  if (isAsStrict(commandLine, rule)) return emptyTally;
  const { untold } = shown.userspace;
  if (isAsStrict(bootChain, rule)) return untold;
  return allOf(registersTally(shown, linePcrs), uncertainOf(rule, shown), untold);
}

function uncertainOf(rule: CommandLineRule | RuntimeRule, { boot, userspace, compiled }: Shown): Tally {
  const answered = isAsStrict(compiled.policy.userspace, rule);
  return allOf(boot.uncertainLines, answered ? emptyTally : userspace.moved);
}
