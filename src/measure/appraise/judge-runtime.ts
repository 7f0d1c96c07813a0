import { startValue } from '../banks.js';
import { matchBootAggregate } from '../ima/boot-aggregate.js';
import { IMA_PCR } from '../ima/ima-replay.js';
import { AGENT_PREFIX } from './agent-files.js';
import { showsRules } from './command-lines.js';
import { quoted } from './digest-text.js';
import { registersTally, type Shown } from './shown.js';
import { type Counting, counting, type Tally, together } from './tally.js';

/** What is to be said of the IMA list as a whole; its entries were judged when a quote confirmed them. */
export function judgeRuntime(now: Shown): Tally {
  const { ima, compiled, problems } = now;
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
    judgeBootAggregate(now, tally);
    judgeRules(now, tally);
    if (runtime?.agentMeasured) judgeAgent(now, tally);
  }
  if (ima.excluded > 0) {
    const message = `${ima.excluded} entries are not judged, as the policy excludes their paths`;
    tally.add('note', () => ({ code: 'files_excluded', message, log: 'ima-list' }));
  }
  const kexec = bootChain === undefined ? ima.kexec : counting().done();
  return together(together(registersTally(now, [IMA_PCR]), tally.done()), together(ima.judged, kexec));
}

/**
 * The first entry holds a hash over PCR 0-9 (or 0-7) as the kernel found them, before user space went on with PCR 9. It binds
 * the list to this start of the kernel.
 */
export function judgeBootAggregate({ ima, boot, bank, values, registers }: Shown, tally: Counting): void {
  if (ima.aggregate === '') return; // Reported when the first entry was judged.
  const [algorithm = '', digest = ''] = ima.aggregate.split(':');
  const place = { log: 'ima-list', event: 1, pcr: IMA_PCR } as const;
  if (algorithm !== bank) {
    const message = `boot_aggregate is of ${algorithm}, the quote of ${bank}`;
    tally.add('warn', () => ({ code: 'boot_aggregate_unchecked', message, ...place }));
    return;
  }
  const explained = registers.filter((one) => one.explained).map(({ pcr }) => pcr);
  const early = explained.map((pcr) => [pcr, boot.pcrs.get(pcr) ?? startValue(bank, pcr)] as const);
  const said = { algorithm, digest: Buffer.from(digest, 'hex'), of: 'file' } as const;
  const kernel = new Map([...(values ?? []), ...early]);
  // Partitions are measured where no log tells of it, and need not be explained.
  const partitions = new Map([...kernel, [5, boot.pcrs.get(5) ?? startValue(bank, 5)] as const]);
  const candidates = [kernel, partitions, values ?? kernel];
  if (candidates.some((pcrs) => matchBootAggregate(said, bank, pcrs) !== undefined)) return;
  const message = 'boot_aggregate is not the hash of the registers that are quoted';
  tally.add('fail', () => ({ code: 'boot_aggregate_mismatch', message, ...place, value: ima.aggregate }));
}

/** Whether IMA had rules at all: a list without them shows what somebody chose to show. */
function judgeRules({ boot, ima, registers }: Shown, tally: Counting): void {
  const isExplained = (wanted: number) => registers.some(({ pcr, explained }) => pcr === wanted && explained);
  if (ima.rulesAt > 0 || showsRules([...boot.commandLines, ...ima.commandLines], isExplained)) return;
  const message = 'neither an accepted IMA policy nor an accepted command line shows the rules in force';
  tally.add('unknown', () => ({ code: 'ima_rules_unproven', message, log: 'ima-list', pcr: IMA_PCR }));
}

/** All files of one version of the agent's package, as a reference set lists them. */
function judgeAgent({ ima, compiled }: Shown, tally: Counting): void {
  const missing = compiled.agent.versions
    .map((paths) => [...paths].filter((path) => !ima.agentFiles.has(path)))
    .sort((a, b) => a.length - b.length)[0];
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
