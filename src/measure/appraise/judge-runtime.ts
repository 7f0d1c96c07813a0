import { IMA_PCR } from '../ima/ima-replay.js';
import { AGENT_PREFIX } from './agent-files.js';
import { showsRules } from './command-lines.js';
import { quoted } from './digest-text.js';
import { rulesHiddenFrom } from './hidden-lines.js';
import { IMA_POLICY_PATH } from './judge-ima-entry.js';
import { registerOf, registersTally, type Shown } from './shown.js';
import { allOf, type Counting, counting, emptyTally, type Tally } from './tally.js';

/** What is to be said of the IMA list as a whole; its entries were judged when a quote confirmed them. */
export function judgeRuntime(now: Shown): Tally {
  const { ima, compiled, problems, aggregate } = now;
  const { runtime, bootChain } = compiled.policy;
  const tally = counting();
  if (problems.ima) {
    const problem = problems.ima;
    tally.add('unknown', () => ({ ...problem, log: 'ima-list', pcr: IMA_PCR }));
  }
  if (ima.entries === 0) {
    const message = 'no entry of the IMA list is confirmed: the kernel measured nothing that is known';
    tally.add('unknown', () => ({ code: 'nothing_measured', message, log: 'ima-list', pcr: IMA_PCR }));
  } else {
    if (aggregate) tally.add(aggregate.severity, () => aggregate.reason);
    judgeRules(now, tally);
    if (runtime?.agentMeasured) judgeAgent(now, tally);
  }
  if (ima.excluded > 0) {
    const message = `${ima.excluded} entries are not judged, as the policy excludes their paths`;
    tally.add('note', () => ({ code: 'files_excluded', message, log: 'ima-list' }));
  }
  const kexec = bootChain === undefined ? ima.kexec : emptyTally;
  const hidden = runtime && ima.entries > 0 ? rulesHiddenFrom(runtime, now) : emptyTally;
  return allOf(registersTally(now, [IMA_PCR]), tally.done(), ima.judged, kexec, hidden);
}

/**
 * Whether IMA had rules at all: a list without them shows what somebody chose to show. The line that the kernel was given sets
 * the first ones; a file of rules that is loaded later takes their place.
 */
function judgeRules({ boot, ima, registers, compiled }: Shown, tally: Counting): void {
  const isExplained = (wanted: number) => registerOf(registers, wanted)?.explained === true;
  const add = (message: string) =>
    tally.add('unknown', () => ({ code: 'ima_rules_unproven', message, log: 'ima-list', pcr: IMA_PCR }));
  if (ima.lineless > 0) {
    add(`entry ${ima.lineless} is of a kernel that kexec started with a command line that nobody measured`);
  } else if (!showsRules([...boot.commandLines, ...ima.commandLines], isExplained)) {
    add('no accepted command line sets the IMA rules that the policy asks for');
  }
  if (compiled.imaPolicies.size > 0 && ima.rulesAt === 0) {
    add(`no accepted IMA policy was measured as ${IMA_POLICY_PATH}`);
  }
}

/** All files of one version of the agent's package, as a reference set lists them. */
function judgeAgent({ ima, compiled }: Shown, tally: Counting): void {
  const missing = compiled.agent.missing(ima.agentFiles);
  if (!missing) {
    const message = `no reference names files below ${AGENT_PREFIX}`;
    tally.add('unknown', () => ({ code: 'agent_not_referenced', message, log: 'ima-list' }));
    return;
  }
  for (const path of missing) {
    const message = `the agent's own file ${quoted(path)} was not measured with an accepted digest`;
    tally.add('fail', () => ({ code: 'agent_not_measured', message, log: 'ima-list', value: path }));
  }
}
