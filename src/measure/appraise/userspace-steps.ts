import { TouchmarkError } from '../../errors.js';
import { digest, type HashName } from '../../tpm/algorithms.js';
import { asBuffer } from '../as-buffer.js';
import { extend, startValue } from '../banks.js';
import { bootPhases, KERNEL_PCR } from '../uki/pcr11.js';
import {
  MAX_USERSPACE_LOG,
  parseUserspaceLog,
  type UserspaceEvent,
  userspacePcrs,
} from '../userspace/userspace-log.js';
import type { LogProblem } from './state.js';

export type Registers = ReadonlyMap<number, Uint8Array>;

/** One record, and what it makes of its register. */
export interface UserspaceStep {
  readonly event: UserspaceEvent;
  /** Undefined for a record that extends no PCR, or claims one that is not user space's. */
  readonly pcr: number | undefined;
  readonly value: Uint8Array;
  /** Bytes of the log up to the end of this record. */
  readonly end: number;
}

export interface UserspaceSteps {
  readonly steps: readonly UserspaceStep[];
  /** Why there are no more. Whether that matters is for the quote to tell: what it does not cover may be anything. */
  readonly problem?: LogProblem;
}

const RECORD_SEPARATOR = 0x1e;

/**
 * Replays records one by one on top of what is known, up to the first that cannot be read.
 * @param before registers, and how many bytes and records came before
 */
export function userspaceSteps(
  input: Uint8Array,
  bank: HashName,
  before: { readonly registers: Registers; readonly bytes: number; readonly events: number },
): UserspaceSteps {
  const bytes = asBuffer(input);
  const steps: UserspaceStep[] = [];
  const now = new Map(before.registers);
  const stop = (message: string) => ({
    steps,
    problem: { code: 'userspace_log_unreadable', message } as const,
  });
  if (before.bytes + bytes.length > MAX_USERSPACE_LOG) {
    return stop(`the userspace log has more than ${MAX_USERSPACE_LOG} bytes`);
  }
  for (let start = 0; start < bytes.length; ) {
    const next = bytes.indexOf(RECORD_SEPARATOR, start + 1);
    const end = next < 0 ? bytes.length : next;
    const index = before.events + steps.length;
    const event = readOne(bytes.subarray(start, end), index);
    if (typeof event === 'string') return stop(event);
    const by = event.digests.get(bank);
    if (!by) return stop(`record ${index} of the userspace log has no ${bank} digest`);
    const pcr = event.pcr !== undefined && userspacePcrs.has(event.pcr) ? event.pcr : undefined;
    const value =
      pcr === undefined ? new Uint8Array() : extend(bank, now.get(pcr) ?? startValue(bank, pcr), by);
    if (pcr !== undefined) now.set(pcr, value);
    steps.push({ event, pcr, value, end: before.bytes + end });
    start = end;
  }
  return { steps };
}

/** A record, or why it is none. */
function readOne(bytes: Buffer, index: number): UserspaceEvent | string {
  try {
    const event = parseUserspaceLog(bytes).events[0];
    return event ? { ...event, index } : `record ${index} of the userspace log is empty`;
  } catch (error) {
    if (error instanceof TouchmarkError) return error.message.replace('record 0', `record ${index}`);
    throw error;
  }
}

/** The phases that a host without a userspace log may have measured; what most hosts measure comes first. */
const phaseSequences: readonly (readonly string[])[] = [
  [...bootPhases],
  ['sysinit', 'ready'],
  ['enter-initrd', 'leave-initrd', 'sysinit'],
  ['sysinit'],
  ['enter-initrd', 'leave-initrd'],
  ['enter-initrd'],
];

/**
 * systemd before 255 measures the phases of a boot without writing them down. Their texts are fixed, so what they make of
 * PCR 11 is known: a register with such a value was extended with nothing else.
 */
export function* phaseRegisters(bank: HashName, before: Uint8Array | undefined): Generator<Registers> {
  for (const phases of phaseSequences) {
    const start = before ?? startValue(bank, KERNEL_PCR);
    const value = phases.reduce((now, phase) => extend(bank, now, digest(bank, Buffer.from(phase))), start);
    yield new Map([[KERNEL_PCR, value]]);
  }
}
