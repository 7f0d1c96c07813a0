import { type ComponentName, componentNames } from '../policy/model.js';
import { userspacePcrs } from '../userspace/userspace-log.js';
import { judgeEffectiveLines } from './command-lines.js';
import type { ComponentAppraisal, ComponentResult } from './contract.js';
import { linePcrs, linesHiddenFrom } from './hidden-lines.js';
import { judgeLine } from './judge-command-line.js';
import { judgeKexec } from './judge-kernel.js';
import { judgeRuntime } from './judge-runtime.js';
import { registersTally, type Shown } from './shown.js';
import type { BootFacts } from './state.js';
import { isAsStrict } from './strictness.js';
import { allOf, counting, emptyTally, MAX_REASONS, severities, type Tally } from './tally.js';

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
  'command-line': linePcrs,
} as const;

const userspaceRegisters = [...userspacePcrs];

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
  const tally = allOf(registersTally(shown, bootPcrs[name]), bootTally(shown.boot, name));
  if (name === 'command-line') return allOf(tally, linesTally(shown));
  return name === 'boot-chain' ? allOf(tally, judgeKexec(shown), movedTally(shown)) : tally;
}

/** Records of user space that may be events of the boot, unless their own rule fails them as strictly. */
function movedTally({ userspace, compiled: { policy } }: Shown): Tally {
  return isAsStrict(policy.userspace, policy.bootChain) ? emptyTally : userspace.moved;
}

function bootTally({ problem, judged }: BootFacts, name: ComponentName): Tally {
  if (!problem) return judged[name] ?? emptyTally;
  const tally = counting();
  tally.add('unknown', () => ({ ...problem, log: 'boot-log' }));
  return tally.done();
}

function linesTally(shown: Shown): Tally {
  const { boot, ima, compiled } = shown;
  const { commandLine } = compiled.policy;
  const tally = counting();
  for (const line of ima.commandLines) judgeLine(tally, line, compiled);
  if (ima.lineless > 0) {
    const message = `entry ${ima.lineless} of the IMA list is of a kernel that kexec started without a measured command line`;
    const place = { log: 'ima-list', event: ima.lineless } as const;
    tally.add('unknown', () => ({ code: 'command_line_missing', message, ...place }));
  }
  const lines = judgeEffectiveLines([...boot.commandLines, ...ima.commandLines]);
  return allOf(tally.done(), lines, commandLine ? linesHiddenFrom(commandLine, shown) : emptyTally);
}

function userspaceTally(shown: Shown): Tally {
  const { userspace, silentPhases, problems, boot, compiled } = shown;
  const { bootChain, userspace: rule } = compiled.policy;
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
  const moved = isAsStrict(bootChain, rule) ? emptyTally : boot.uncertainRecords;
  return allOf(registersTally(shown, userspaceRegisters), tally.done(), moved);
}

function appraisalOf(component: ComponentName, tally: Tally): ComponentAppraisal {
  const count = severities.reduce((sum, severity) => sum + tally.counts[severity], 0);
  const all = count === 0 ? [] : severities.flatMap((severity) => tally.kept[severity]);
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
