import { startValue } from '../banks.js';
import { matchBootAggregate } from '../ima/boot-aggregate.js';
import { IMA_PCR } from '../ima/ima-replay.js';
import { registerOf, type Shown } from './shown.js';
import type { Reason, Severity } from './tally.js';

export interface AggregateProblem {
  readonly severity: Severity;
  readonly reason: Reason;
}

/**
 * The first entry holds a hash over PCR 0-9 (or 0-7) as the kernel found them, before user space went on with PCR 9. It binds
 * the list to this start of the kernel; undefined where it does, or where there is none, which is reported with that entry.
 */
export function aggregateProblem({
  ima,
  boot,
  bank,
  values,
  registers,
}: Pick<Shown, 'ima' | 'boot' | 'bank' | 'values' | 'registers'>): AggregateProblem | undefined {
  if (ima.aggregate === '') return undefined;
  const [algorithm = '', digest = ''] = ima.aggregate.split(':');
  const place = { log: 'ima-list', event: 1, pcr: IMA_PCR } as const;
  if (algorithm !== bank) {
    const message = `boot_aggregate is of ${algorithm}, the quote of ${bank}`;
    return { severity: 'warn', reason: { code: 'boot_aggregate_unchecked', message, ...place } };
  }
  const early = (pcr: number) => boot.pcrs.get(pcr) ?? startValue(bank, pcr);
  const isExplained = (pcr: number) => registerOf(registers, pcr)?.explained === true;
  const kernel = { get: (pcr: number) => (isExplained(pcr) ? early(pcr) : values?.get(pcr)) };
  // Partitions are measured where no log tells of it, and need not be explained.
  const partitions = { get: (pcr: number) => (pcr === 5 ? early(5) : kernel.get(pcr)) };
  const said = { algorithm, digest: Buffer.from(digest, 'hex'), of: 'file' } as const;
  if ([kernel, partitions].some((pcrs) => matchBootAggregate(said, bank, pcrs) !== undefined))
    return undefined;
  const message = 'boot_aggregate is not the hash of the registers that are quoted';
  const reason = { code: 'boot_aggregate_mismatch', message, ...place, value: ima.aggregate } as const;
  return { severity: 'fail', reason };
}
