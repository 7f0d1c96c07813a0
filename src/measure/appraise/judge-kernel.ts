import { startValue } from '../banks.js';
import { matchBootAggregate } from '../ima/boot-aggregate.js';
import { IMA_PCR } from '../ima/ima-replay.js';
import type { Shown } from './shown.js';
import { allOf, type Counting, counting, type Tally } from './tally.js';

/** What the IMA list says of the kernel that runs now: that it is the one that was booted, unless the rule allows others. */
export function judgeKexec(shown: Shown): Tally {
  const { ima, compiled } = shown;
  const tally = counting();
  if (ima.entries > 0) judgeBootAggregate(shown, tally);
  const uncertain = uncertainKexec(shown);
  if (compiled.policy.bootChain?.kexec === true) return allOf(tally.done(), uncertain);
  return allOf(tally.done(), ima.kexec, uncertain);
}

/** Where kexec may be hidden: in entries that nobody can tell, or in a list that is not what the kernel measured. */
export function uncertainKexec({ registers, values, ima }: Shown): Tally {
  const tally = counting();
  const own = registers.find(({ pcr }) => pcr === IMA_PCR);
  const add = (message: string) =>
    tally.add('unknown', () => ({ code: 'kexec_uncertain', message, log: 'ima-list', pcr: IMA_PCR }));
  if (!own) add(`PCR ${IMA_PCR} is not in the quote: whether kexec started another kernel is not known`);
  else if (values && !own.explained) {
    add(`PCR ${IMA_PCR} is not what the IMA list gives: whether kexec started another kernel is not known`);
  }
  return allOf(tally.done(), ima.obscured);
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
  if ([kernel, partitions].some((pcrs) => matchBootAggregate(said, bank, pcrs) !== undefined)) return;
  const message = 'boot_aggregate is not the hash of the registers that are quoted';
  tally.add('fail', () => ({ code: 'boot_aggregate_mismatch', message, ...place, value: ima.aggregate }));
}
