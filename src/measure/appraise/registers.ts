import type { HashName } from '../../tpm/algorithms.js';
import { ascending, type PcrValues, sameValue } from '../../tpm/pcr.js';
import { startValue } from '../banks.js';
import { IMA_PCR } from '../ima/ima-replay.js';
import type { PcrAppraisal } from './contract.js';
import { hex } from './digest-text.js';
import type { BootFacts } from './state.js';
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
  const { boot } = derived;
  const known: Said = said.get(boot) ?? new Map();
  said.set(boot, known);
  return ascending(pcrs).map((pcr) => {
    const source = derive(pcr, bank, derived);
    const quoted = values?.get(pcr);
    if (!boot.gaps.has(pcr) && sameValue(source.value, quoted)) return explained(pcr, source, known);
    const { value, from } = source;
    return { pcr, quoted: quoted ? hex(quoted) : '', derived: hex(value), from, explained: false };
  });
}

type Said = Map<number, { readonly value: Uint8Array; readonly is: PcrAppraisal }>;

/** What was said of the registers of one boot, which from tick to tick have the same value, nearly all for ever. */
const said = new WeakMap<BootFacts, Said>();

function explained(pcr: number, { value, from }: Source, known: Said): PcrAppraisal {
  const before = known.get(pcr);
  if (before?.value === value && before.is.from === from) return before.is;
  const text = hex(value);
  const is = { pcr, quoted: text, derived: text, from, explained: true };
  known.set(pcr, { value, is });
  return is;
}

interface Source {
  readonly value: Uint8Array;
  readonly from: PcrAppraisal['from'];
}

function derive(pcr: number, bank: HashName, { boot, userspace, ima }: Derived): Source {
  // Whatever the other logs tell of it: only the list says what the kernel measured.
  if (pcr === IMA_PCR) return { value: ima.value, from: ima.entries > 0 ? 'ima-list' : 'start' };
  const later = userspace.get(pcr);
  if (later) return { value: later, from: 'userspace-log' };
  const early = boot.pcrs.get(pcr);
  return early ? { value: early, from: 'boot-log' } : { value: startValue(bank, pcr), from: 'start' };
}
