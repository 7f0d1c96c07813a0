import { type ComponentName, componentNames } from '../policy/model.js';
import { judgeEffectiveLines } from './command-lines.js';
import type { ComponentAppraisal, ComponentResult } from './contract.js';
import { judgeLine } from './judge-command-line.js';
import { judgeBootAggregate, judgeRuntime } from './judge-runtime.js';
import { registersTally, type Shown } from './shown.js';
import type { BootFacts } from './state.js';
import { counting, emptyTally, MAX_REASONS, severities, type Tally, together } from './tally.js';

/** Where a policy has the rule of a component. */
export const ruleNames = {
  firmware: 'firmware',
  'firmware-config': 'firmwareConfig',
  'secure-boot': 'secureBoot',
  'boot-chain': 'bootChain',
  'command-line': 'commandLine',
  userspace: 'userspace',
  runtime: 'runtime',
} as const satisfies Readonly<Record<ComponentName, string>>;

/** Registers that each component of the boot log must have explained: all that could hide a part of it. */
const bootPcrs = {
  firmware: [0, 2],
  'firmware-config': [1, 3],
  'secure-boot': [7],
  'boot-chain': [4, 8, 9, 11, 12, 13, 14],
  'command-line': [8, 9, 11, 12],
} as const;

/** Every component that the policy has a rule for, in the order in which they come to run. */
export function appraiseComponents(shown: Shown): ComponentAppraisal[] {
  const { policy } = shown.compiled;
  return componentNames
    .filter((name) => policy[ruleNames[name]] !== undefined)
    .map((name) => appraisalOf(name, tallyOf(name, shown)));
}

function tallyOf(name: ComponentName, shown: Shown): Tally {
  if (name === 'runtime') return judgeRuntime(shown);
  if (name === 'userspace') return userspaceTally(shown);
  const tally = together(registersTally(shown, bootPcrs[name]), bootTally(shown.boot, name));
  if (name === 'command-line') return together(tally, linesTally(shown));
  return name === 'boot-chain' ? together(tally, kernelTally(shown)) : tally;
}

/** What the IMA list says of the kernel that runs now. */
function kernelTally(shown: Shown): Tally {
  const { ima, compiled } = shown;
  if (ima.entries === 0) return emptyTally;
  const tally = counting();
  judgeBootAggregate(shown, tally);
  return compiled.policy.bootChain?.kexec === true ? tally.done() : together(tally.done(), ima.kexec);
}

function bootTally({ problem, judged }: BootFacts, name: ComponentName): Tally {
  if (!problem) return judged[name] ?? emptyTally;
  const tally = counting();
  tally.add('unknown', () => ({ ...problem, log: 'boot-log' }));
  return tally.done();
}

function linesTally({ boot, ima, compiled }: Shown): Tally {
  const tally = counting();
  for (const line of ima.commandLines) judgeLine(tally, line, compiled);
  return together(tally.done(), judgeEffectiveLines([...boot.commandLines, ...ima.commandLines]));
}

function userspaceTally(shown: Shown): Tally {
  const { userspace, silentPhases, problems } = shown;
  const pcrs = new Set([11, 15, ...userspace.pcrs.keys()]);
  const tally = counting(userspace.judged);
  if (problems.userspace) {
    const problem = problems.userspace;
    tally.add('unknown', () => ({ ...problem, log: 'userspace-log' }));
  }
  if (silentPhases) tally.check();
  else if (userspace.events === 0) {
    const message = 'user space measured nothing';
    tally.add('unknown', () => ({ code: 'nothing_measured', message, log: 'userspace-log' }));
  }
  return together(registersTally(shown, [...pcrs]), tally.done());
}

function appraisalOf(component: ComponentName, tally: Tally): ComponentAppraisal {
  const all = severities.flatMap((severity) => tally.kept[severity]);
  const count = severities.reduce((sum, severity) => sum + tally.counts[severity], 0);
  const reasons = all.slice(0, MAX_REASONS);
  return {
    component,
    result: resultOf(tally),
    reasons,
    more: count - reasons.length,
    checked: tally.checked,
  };
}

function resultOf({ counts, checked }: Tally): ComponentResult {
  if (counts.fail > 0) return 'fail';
  if (counts.unknown > 0 || checked === 0) return 'unknown';
  return counts.warn > 0 ? 'warn' : 'pass';
}
