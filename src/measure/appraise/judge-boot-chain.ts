import { digest, type HashName } from '../../tpm/algorithms.js';
import type { CommandLineRule, Digest } from '../policy/model.js';
import { KERNEL_PCR } from '../uki/pcr11.js';
import type { BootCommandLines } from './boot-command-lines.js';
import { addBoot, refusedForItsData, type SeenEvent, type SeenEvents, separators } from './boot-events.js';
import type { StartedUkis } from './boot-ukis.js';
import type { Compiled } from './compile.js';
import { digestText } from './digest-text.js';
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
/** Loaders and kernels measure here. PCR 5 holds partitions, which are changed in good faith. */
const loaderPcrs = [8, 9, 12, 13, 14];

/** Judges what was started, from PCR 4 to the kernel, by digests alone: paths in events are not measured. */
export function judgeBootChain(context: BootChainContext): Tally {
  const tally = counting();
  judgeImages(context, tally);
  for (const seen of loaderPcrs.flatMap((pcr) => context.events(pcr))) {
    tally.check();
    if (!refusedForItsData(tally, seen) && !isKnownEvent(seen, context)) {
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

function isKnownEvent(seen: SeenEvent, { compiled, ukis, lines }: BootChainContext): boolean {
  if (compiled.bootChain.has(seen.digest)) return true;
  // The kernel's stub measures the initrd that the image handed it.
  if (seen.event.pcr === 9 && ukis.initrds.has(seen.digest)) return true;
  return isLeftToCommandLine(seen, lines, compiled.policy.commandLine);
}

/**
 * A command line is for the component of that name. Without a rule for it, one in PCR 8 is not left out: what GRUB measures
 * does not tell a line from a command.
 */
function isLeftToCommandLine(
  { event }: SeenEvent,
  lines: BootCommandLines,
  rule: CommandLineRule | undefined,
): boolean {
  const own = lines.lines.some((line) => line.event === event.index);
  return own && (rule !== undefined || (event.pcr !== 8 && lines.isProven(event)));
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
