import { digest, type HashName } from '../../tpm/algorithms.js';
import type { Digest, MeasurementPolicy } from '../policy/model.js';
import { KERNEL_PCR } from '../uki/pcr11.js';
import type { BootCommandLines } from './boot-command-lines.js';
import { addBoot, refusedForItsData, type SeenEvent, type SeenEvents, separators } from './boot-events.js';
import type { StartedUkis } from './boot-ukis.js';
import type { Compiled } from './compile.js';
import { digestText } from './digest-text.js';
import { isAsStrict } from './strictness.js';
import { type Counting, counting, type Tally } from './tally.js';
import { sectionNameDigest } from './uki-lookup.js';

export interface BootChainContext {
  readonly events: SeenEvents;
  readonly compiled: Compiled;
  readonly ukis: StartedUkis;
  readonly lines: BootCommandLines;
  readonly bank: HashName;
}

/** What firmware measures into PCR 4 beside images. */
const actions = [
  'Calling EFI Application from Boot Option',
  'Returning from EFI Application from Boot Option',
];
/**
 * Loaders and kernels measure here; PCR 15 is user space's, but whatever the log of the boot tells of it is judged too.
 * PCR 5 holds partitions, which are changed in good faith.
 */
const loaderPcrs = [8, 9, 12, 13, 14, 15];

/** Judges what was started, from PCR 4 to the kernel, by digests alone: paths in events are not measured. */
export function judgeBootChain(context: BootChainContext): Tally {
  const tally = counting();
  judgeImages(context, tally);
  for (const seen of loaderPcrs.flatMap((pcr) => context.events(pcr))) {
    tally.check();
    if (refusedForItsData(tally, seen) || isNamed(seen, context)) continue;
    if (!isLeftToCommandLine(seen, context.lines, context.compiled.policy)) {
      addBoot(tally, 'fail', 'boot_event_unknown', seen, 'measures what no reference names');
    }
  }
  judgeSections(context, tally);
  return tally.done();
}

/** Images in their order: the kernel inside a unified image counts only after that very image. */
function judgeImages({ events, compiled, bank }: BootChainContext, tally: Counting): void {
  const separator = separators(bank, tally);
  const known = new Set(actions.map((text) => digestText(bank, digest(bank, Buffer.from(text)))));
  const inner = new Set<Digest>();
  const foreign = new Set(compiled.ukis.all.flatMap(({ kernel }) => kernel));
  let images = 0;
  for (const seen of events(4)) {
    tally.check();
    if (separator.take(seen) || refusedForItsData(tally, seen) || known.has(seen.digest)) continue;
    images++;
    const started = compiled.ukis.byImage(seen.digest);
    for (const kernel of started.flatMap((uki) => uki.kernel)) inner.add(kernel);
    if (started.length > 0 || compiled.bootChain.has(seen.digest) || inner.has(seen.digest)) continue;
    if (foreign.has(seen.digest)) {
      addBoot(
        tally,
        'fail',
        'boot_kernel_foreign',
        seen,
        'is the kernel of an image that was not started before',
      );
    } else addBoot(tally, 'fail', 'boot_image_unknown', seen, 'measures an image that no reference names');
  }
  if (events(4).length > 0) separator.end([4]);
  if (images > 0) return;
  const message = 'no image was measured into PCR 4';
  tally.add('unknown', () => ({ code: 'nothing_measured', message, log: 'boot-log', pcr: 4 }));
}

/** Whether references name what an event of a loader or kernel measures. */
export function isNamed({ digest: value, event }: SeenEvent, { compiled, ukis }: BootChainContext): boolean {
  if (compiled.bootChain.has(value)) return true;
  // The kernel's stub measures the initrd that the image handed it.
  return event.pcr === 9 && ukis.initrds.has(value);
}

/**
 * A command line is for the component of that name. Where its rule is none or less strict, only what can be nothing else is left
 * to it: not what merely claims to be a line, and nothing in PCR 8, for what GRUB measures does not tell a line from a command.
 */
function isLeftToCommandLine(
  { event }: SeenEvent,
  lines: BootCommandLines,
  { commandLine, bootChain }: Pick<MeasurementPolicy, 'commandLine' | 'bootChain'>,
): boolean {
  if (!lines.lines.some((line) => line.event === event.index)) return false;
  return isAsStrict(commandLine, bootChain) || (event.pcr !== 8 && lines.isProven(event));
}

/** PCR 11 holds the sections of one image that was started, or digests that are accepted one by one. */
function judgeSections({ events, compiled, ukis, bank }: BootChainContext, tally: Counting): void {
  const sections = events(KERNEL_PCR);
  for (const _ of sections) tally.check();
  if (sections.length === 0 || ukis.measured.length > 0) return;
  const names = new Set(compiled.ukis.all.flatMap((uki) => uki.sections.map(({ name }) => name)));
  const nameDigests = new Set([...names].map((name) => sectionNameDigest(bank, name)));
  const open = sections.filter(({ digest: value }) => !compiled.bootChain.has(value));
  if (open.length === 0) return;
  const content = open.filter(({ digest: value }) => !nameDigests.has(value));
  const strange = content.filter(({ digest: value }) => !compiled.ukis.hasContent(value));
  for (const seen of strange) {
    addBoot(tally, 'fail', 'uki_sections_unknown', seen, 'measures a section that no accepted image has');
  }
  const first = content[0] ?? open[0];
  if (strange.length === 0 && first) {
    addBoot(tally, 'fail', 'uki_sections_mixed', first, 'is not part of the sections of one started image');
  }
}
