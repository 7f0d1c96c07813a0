import { digest, type HashName } from '../../tpm/algorithms.js';
import type { BootEvent } from '../boot/boot-log.js';
import { eventType } from '../boot/event-types.js';
import type { Digest } from '../policy/model.js';
import { KERNEL_PCR } from '../uki/pcr11.js';
import type { SeenEvent, SeenEvents } from './boot-events.js';
import type { StartedUkis } from './boot-ukis.js';
import { isReadable } from './command-line-lookup.js';
import { commandLine } from './command-lines.js';
import type { Compiled } from './compile.js';
import { digestText, withoutNuls } from './digest-text.js';
import type { CommandLine } from './state.js';
import { sectionDigests, sectionNameDigest } from './uki-lookup.js';

/** Where each event is a command line or is not. */
export interface BootCommandLines {
  readonly lines: readonly CommandLine[];
  /** Whether the digest proves that this event is a command line and nothing else, whatever its type says. */
  isProven(event: BootEvent): boolean;
}

/** A host tries a few kernels at most. */
const MAX_LINES = 64;
/** Tag of the kernel's own stub for what it was started with: a claim, as types are. */
const LOAD_OPTIONS = 0x8f3b22ed;
const grubPrefixes = ['kernel_cmdline: ', 'grub_cmd: '];

/**
 * Finds the command lines of a boot log. GRUB (PCR 8) and systemd-stub (PCR 12) log the text, which must hash to the digest.
 * The kernel's stub (PCR 9) and a unified image (PCR 11) log a label only: there the digest is compared with those of the
 * lines that are known, from references or from elsewhere in this log.
 */
export function bootCommandLines(
  events: SeenEvents,
  compiled: Compiled,
  ukis: StartedUkis,
  bank: HashName,
): BootCommandLines {
  const texts = [...events(8).flatMap(grubLine), ...[8, 12].flatMap((pcr) => events(pcr).flatMap(stubLine))];
  const embedded = ukiLines(events, compiled, ukis, bank);
  const shown = [...embedded, ...texts].flatMap(({ text }) => (text === undefined ? [] : [text]));
  const known = knownLoadOptions(bank, [
    ...compiled.commandLines.known,
    ...shown.flatMap((text) => [text, `BOOT_IMAGE=${text}`]),
    // What addons say is put behind the line of the image.
    shown.join(' '),
  ]);
  const kernel = events(9).flatMap((seen) => kernelLine(seen, known));
  const found = bounded([...texts, ...embedded, ...kernel]);
  // Any bytes are some text in UTF-16; what is readable as one is no code that anything would load.
  const readable = found.filter(({ text }) => text !== undefined && isReadable(text));
  const proven = new Set(readable.map(({ seen }) => seen.event));
  const lines = found.map(({ source, seen, text }) => {
    const byDigest = found.length < MAX_LINES && compiled.bootChain.has(seen.digest);
    return commandLine({ source, pcr: seen.event.pcr, event: seen.event.index }, text, byDigest, compiled);
  });
  return { lines, isProven: (event) => proven.has(event) };
}

interface Found {
  readonly source: CommandLine['source'];
  readonly seen: SeenEvent;
  readonly text: string | undefined;
}

/** Where there are more, the last one that is kept stands for the rest, and is of no text that could be accepted. */
function bounded(found: readonly Found[]): readonly Found[] {
  const last = found[MAX_LINES - 1];
  if (found.length < MAX_LINES || !last) return found;
  return [...found.slice(0, MAX_LINES - 1), { ...last, text: undefined }];
}

/**
 * GRUB measures a line without the prefix that tells it from a command, so the text itself decides: commands begin with a
 * word, kernels with a path.
 */
function grubLine(seen: SeenEvent): Found[] {
  const { type, data } = seen.event;
  if (type !== eventType.ipl || seen.lies) return [];
  const logged = Buffer.from(data).toString('utf8').replace(/\0$/, '');
  const prefix = grubPrefixes.find((one) => logged.startsWith(one));
  if (prefix === undefined) return [];
  const text = logged.slice(prefix.length);
  const isLine = prefix === grubPrefixes[0] || /^(\(|\/|BOOT_IMAGE=)/.test(text);
  return isLine ? [{ source: 'grub', seen, text }] : [];
}

/** A text in UTF-16 whose bytes are what was measured. */
function stubLine(seen: SeenEvent): Found[] {
  const { type, data } = seen.event;
  if (type !== eventType.ipl || data.length < 2 || data.length % 2 !== 0) return [];
  const bank = seen.digest.slice(0, seen.digest.indexOf(':')) as HashName;
  if (digestText(bank, digest(bank, data)) !== seen.digest) return [];
  const text = withoutNuls(Buffer.from(data).toString('utf16le'));
  return [{ source: 'stub', seen, text }];
}

/** The content after each name `.cmdline` in PCR 11: an image may have started another one. */
function ukiLines(
  events: SeenEvents,
  compiled: Compiled,
  { measured }: StartedUkis,
  bank: HashName,
): Found[] {
  const name = sectionNameDigest(bank, '.cmdline');
  const sections = events(KERNEL_PCR);
  const [uki] = measured;
  const contents = sections.filter((_, index) => sections[index - 1]?.digest === name);
  const known = knownSections(bank, contents.length === 0 ? [] : compiled.commandLines.known);
  return contents.map((seen) => {
    const own = uki && sectionDigests(uki, '.cmdline').includes(seen.digest);
    return { source: 'uki', seen, text: own ? uki.commandLine : known.get(seen.digest) };
  });
}

type KnownTexts = ReadonlyMap<Digest, string>;

function knownSections(bank: HashName, lines: readonly string[]): KnownTexts {
  return knownTexts(bank, lines, ['', '\n', '\0', '\n\0'], 'utf8');
}

/** UTF-16 with its NUL, as the firmware hands it over; some loaders leave the NUL out. */
function knownLoadOptions(bank: HashName, lines: readonly string[]): KnownTexts {
  return knownTexts(bank, lines, ['\0', '', '\n\0'], 'utf16le');
}

function knownTexts(
  bank: HashName,
  lines: readonly string[],
  ends: readonly string[],
  encoding: 'utf8' | 'utf16le',
): KnownTexts {
  const texts = lines.flatMap((line) => ends.map((end) => [line, line + end] as const));
  return new Map(
    texts.map(([line, text]) => [digestText(bank, digest(bank, Buffer.from(text, encoding))), line]),
  );
}

function kernelLine(seen: SeenEvent, known: KnownTexts): Found[] {
  const text = known.get(seen.digest);
  if (text !== undefined) return [{ source: 'kernel', seen, text }];
  const { type, data } = seen.event;
  const tagged =
    type === eventType.eventTag && data.length >= 4 && Buffer.from(data).readUInt32LE(0) === LOAD_OPTIONS;
  return tagged ? [{ source: 'kernel', seen, text: undefined }] : [];
}
