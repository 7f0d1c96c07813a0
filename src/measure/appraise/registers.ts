import type { HashName } from '../../tpm/algorithms.js';
import type { PcrValues } from '../../tpm/pcr.js';
import { startValue } from '../banks.js';
import { IMA_PCR } from '../ima/ima-replay.js';
import type { PcrAppraisal } from './contract.js';
import { hex } from './digest-text.js';
import type { BootFacts } from './state.js';
import { sameRegister } from './userspace-part.js';
import type { Registers } from './userspace-steps.js';

/** What the logs make of the registers. */
export interface Derived {
  readonly boot: BootFacts;
  readonly userspace: Registers;
  /** PCR 10, and whether any entry extended it. */
  readonly ima: { readonly value: Uint8Array; readonly entries: number };
}

/** The quoted registers in order, each with what explains it. */
export function appraiseRegisters(
  pcrs: readonly number[],
  bank: HashName,
  values: PcrValues | undefined,
  derived: Derived,
): PcrAppraisal[] {
  return [...pcrs]
    .sort((a, b) => a - b)
    .map((pcr) => {
      const { value, from } = derive(pcr, bank, derived);
      const quoted = values?.get(pcr);
      return {
        pcr,
        quoted: quoted ? hex(quoted) : '',
        derived: hex(value),
        from,
        explained: !derived.boot.gaps.has(pcr) && sameRegister(value, quoted),
      };
    });
}

function derive(
  pcr: number,
  bank: HashName,
  { boot, userspace, ima }: Derived,
): { value: Uint8Array; from: PcrAppraisal['from'] } {
  // Whatever the other logs tell of it: only the list says what the kernel measured.
  if (pcr === IMA_PCR) return { value: ima.value, from: ima.entries > 0 ? 'ima-list' : 'start' };
  const later = userspace.get(pcr);
  if (later) return { value: later, from: 'userspace-log' };
  const early = boot.pcrs.get(pcr);
  return early ? { value: early, from: 'boot-log' } : { value: startValue(bank, pcr), from: 'start' };
}
