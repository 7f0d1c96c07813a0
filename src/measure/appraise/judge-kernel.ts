import { IMA_PCR } from '../ima/ima-replay.js';
import { registerOf, type Shown } from './shown.js';
import { allOf, counting, type Tally } from './tally.js';

/** What the IMA list says of the kernel that runs now: that it is the one that was booted, unless the rule allows others. */
export function judgeKexec(shown: Shown): Tally {
  const { ima, compiled, aggregate } = shown;
  const tally = counting();
  if (ima.entries > 0 && aggregate) tally.add(aggregate.severity, () => aggregate.reason);
  const uncertain = uncertainKexec(shown);
  if (compiled.policy.bootChain?.kexec === true) return allOf(tally.done(), uncertain);
  return allOf(tally.done(), ima.kexec, uncertain);
}

/** Where kexec may be hidden: in entries that nobody can tell, or in a list that is not what the kernel measured. */
export function uncertainKexec({ registers, values, ima }: Shown): Tally {
  const tally = counting();
  const own = registerOf(registers, IMA_PCR);
  const add = (message: string) =>
    tally.add('unknown', () => ({ code: 'kexec_uncertain', message, log: 'ima-list', pcr: IMA_PCR }));
  if (!own) add(`PCR ${IMA_PCR} is not in the quote: whether kexec started another kernel is not known`);
  else if (values && !own.explained) {
    add(`PCR ${IMA_PCR} is not what the IMA list gives: whether kexec started another kernel is not known`);
  }
  return allOf(tally.done(), ima.obscured);
}
