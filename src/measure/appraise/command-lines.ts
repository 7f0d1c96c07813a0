import { kernelWords } from './command-line-lookup.js';
import type { Compiled } from './compile.js';
import { shown } from './digest-text.js';
import type { CommandLine } from './state.js';
import { counting, type Tally } from './tally.js';

/** From the one that a running kernel has for certain to those that may have been replaced on the way. */
const order: readonly (readonly CommandLine['source'][])[] = [
  ['kexec'],
  ['kernel'],
  ['stub'],
  ['grub', 'uki'],
];

/** Of several lines in the logs, those that the running kernel was given. */
export function effectiveLines(lines: readonly CommandLine[]): readonly CommandLine[] {
  for (const sources of order) {
    const found = lines.filter(({ source }) => sources.includes(source));
    if (found.length > 0) return found;
  }
  return [];
}

/** What is to be said of all lines together: that there is one, and that the words are in the one that counts. */
export function judgeEffectiveLines(lines: readonly CommandLine[], { commandLines }: Compiled): Tally {
  const tally = counting();
  if (lines.length === 0) {
    const message = 'no command line was measured';
    tally.add('unknown', () => ({ code: 'command_line_missing', message, log: 'boot-log' }));
  }
  for (const { text, source, pcr, event } of effectiveLines(lines)) {
    if (text === undefined) continue;
    const log = source === 'kexec' ? 'ima-list' : 'boot-log';
    for (const word of commandLines.missing(text)) {
      const message = `the command line in event ${event} of PCR ${pcr} lacks the word ${shown(word)}`;
      tally.add('fail', () => ({ code: 'command_line_word_missing', message, log, event, pcr, value: word }));
    }
  }
  return tally.done();
}

/** The accepted line that sets IMA rules; undefined unless every line that counts is accepted and does. */
export function lineWithRules(
  lines: readonly CommandLine[],
  words: readonly string[],
): CommandLine | undefined {
  const effective = effectiveLines(lines);
  const sets = ({ text, accepted }: CommandLine) =>
    accepted && text !== undefined && kernelWords(text).some((word) => words.includes(word));
  return effective.every(sets) ? effective[0] : undefined;
}
