import { KERNEL_PCR } from '../uki/pcr11.js';
import { addBoot, refusedForItsData } from './boot-events.js';
import { type BootChainContext, isNamed } from './judge-boot-chain.js';
import { counting, type Tally } from './tally.js';

/**
 * Events of the boot log that may be something else than they say. Neither labels nor the choice of the log are measured, so
 * whoever rests on command lines, or on records of user space, reports these, unless a rule for the boot chain answers for
 * them as strictly.
 */
export interface UncertainEvents {
  readonly uncertainLines: Tally;
  readonly uncertainRecords: Tally;
}

export function uncertainEvents(context: BootChainContext): UncertainEvents {
  return { uncertainLines: uncertainLines(context), uncertainRecords: uncertainRecords(context) };
}

function uncertainLines(context: BootChainContext): Tally {
  const tally = counting();
  const lines = new Set(context.lines.lines.map(({ event }) => event));
  for (const seen of [8, 9, 12].flatMap((pcr) => context.events(pcr))) {
    if (refusedForItsData(tally, seen) || isNamed(seen, context) || lines.has(seen.event.index)) continue;
    addBoot(tally, 'unknown', 'command_line_uncertain', seen, 'may be a command line: nothing names it');
  }
  return tally.done();
}

function uncertainRecords(context: BootChainContext): Tally {
  const { compiled, events, lines, ukis } = context;
  const tally = counting();
  for (const seen of [9, 11, 12, 13, 15].flatMap((pcr) => events(pcr))) {
    const { pcr } = seen.event;
    if (pcr === KERNEL_PCR && ukis.measured.length > 0) continue;
    if (isNamed(seen, context) || compiled.userspace.digests.has(seen.digest)) continue;
    if (lines.isProven(seen.event)) continue;
    const what = 'may be a record of user space: nothing names it';
    addBoot(tally, 'unknown', 'userspace_record_moved', seen, what);
  }
  return tally.done();
}
