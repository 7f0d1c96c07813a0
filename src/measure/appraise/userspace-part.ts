import type { HashName } from '../../tpm/algorithms.js';
import { type PcrValues, sameValue } from '../../tpm/pcr.js';
import { startValue } from '../banks.js';
import { KERNEL_PCR } from '../uki/pcr11.js';
import type { Compiled } from './compile.js';
import type { LogPart } from './contract.js';
import { judgeUserspace } from './judge-userspace.js';
import { type BootFacts, noUserspaceLog, type UserspaceFacts } from './state.js';
import { phaseRegisters, type Registers, type UserspaceSteps, userspaceSteps } from './userspace-steps.js';

/** A way in which user space may have gone on from the firmware: so many new records, or phases that nobody wrote down. */
export interface UserspacePrefix {
  readonly count: number;
  /** Registers that user space extended, after these records. */
  readonly registers: Registers;
}

export interface UserspacePart {
  readonly before: UserspaceFacts;
  readonly log: UserspaceSteps;
  /** From none of the new records to all of them, then phases without a log. */
  readonly prefixes: Iterable<UserspacePrefix>;
  /** Registers that some prefix extends, and those that only user space extends. */
  readonly watched: readonly number[];
  /** Registers that its records claim, and that are not user space's: they stay as they were. */
  readonly foreign: ReadonlySet<number>;
}

/** Only user space writes here, so what is there must be in its log even if the log says nothing of it. */
const ownPcrs = [KERNEL_PCR, 15];

export function userspacePart(
  part: LogPart,
  before: UserspaceFacts,
  boot: BootFacts,
  bank: HashName,
): UserspacePart {
  const from =
    part.kind === 'bytes' && part.offset > 0 ? before : part.kind === 'unchanged' ? before : noUserspaceLog;
  const log = readSteps(part, from, boot, bank);
  const silent = from.events + log.steps.length === 0;
  return {
    before: from,
    log,
    prefixes: prefixes(from.pcrs, log, () => (silent ? phaseRegisters(bank, boot.pcrs.get(KERNEL_PCR)) : [])),
    watched: watchedBy(from, log),
    foreign: foreignTo(log),
  };
}

function readSteps(part: LogPart, from: UserspaceFacts, boot: BootFacts, bank: HashName): UserspaceSteps {
  if (part.kind !== 'bytes' || part.bytes.length === 0) return { steps: [] };
  const registers = new Map([...boot.pcrs, ...from.pcrs]);
  return userspaceSteps(part.bytes, bank, { registers, bytes: from.bytes, events: from.events });
}

function watchedBy({ pcrs }: UserspaceFacts, { steps }: UserspaceSteps): number[] {
  const watched = new Set(ownPcrs);
  for (const pcr of pcrs.keys()) watched.add(pcr);
  for (const { pcr } of steps) if (pcr !== undefined) watched.add(pcr);
  return [...watched];
}

function foreignTo({ steps }: UserspaceSteps): ReadonlySet<number> {
  const foreign = new Set<number>();
  for (const { pcr, event } of steps)
    if (pcr === undefined && event.pcr !== undefined) foreign.add(event.pcr);
  return foreign;
}

/** Can be gone through again and again; registers are copied only where a record extends one. */
function prefixes(
  start: Registers,
  { steps }: UserspaceSteps,
  phases: () => Iterable<Registers>,
): Iterable<UserspacePrefix> {
  return {
    *[Symbol.iterator]() {
      let registers = start;
      yield { count: 0, registers };
      for (const [index, { pcr, value }] of steps.entries()) {
        if (pcr === undefined) continue;
        registers = new Map([...registers, [pcr, value]]);
        yield { count: index + 1, registers };
      }
      for (const own of phases()) yield { count: 0, registers: own };
    },
  };
}

/**
 * The first prefix that gives the authentic registers; where none gives them all, the one that comes nearest, so that the
 * report can say which register is wrong.
 */
export function matchUserspace(
  { prefixes, watched }: UserspacePart,
  values: PcrValues,
  boot: BootFacts,
  bank: HashName,
): { readonly prefix: UserspacePrefix; readonly whole: boolean } {
  const quoted = watched.filter((pcr) => values.has(pcr));
  let best: { prefix: UserspacePrefix; wrong: number } | undefined;
  for (const prefix of prefixes) {
    let wrong = 0;
    for (const pcr of quoted) {
      const derived = prefix.registers.get(pcr) ?? boot.pcrs.get(pcr) ?? startValue(bank, pcr);
      if (!sameValue(derived, values.get(pcr))) wrong++;
    }
    if (!best || wrong < best.wrong) best = { prefix, wrong };
    if (wrong === 0) break;
  }
  const none = { count: 0, registers: new Map() };
  return { prefix: best?.prefix ?? none, whole: best?.wrong === 0 };
}

/** What is remembered once a quote covers a prefix. */
export function confirmUserspace(
  { before, log }: UserspacePart,
  { count, registers }: UserspacePrefix,
  compiled: Compiled | undefined,
  bank: HashName,
): UserspaceFacts {
  const taken = log.steps.slice(0, count);
  const last = taken.at(-1);
  if (!last) return before;
  const events = taken.map(({ event }) => event);
  return {
    bytes: last.end,
    events: before.events + taken.length,
    pcrs: registers,
    ...judgeUserspace(before, events, compiled, bank),
  };
}
