import type { RuntimeRule } from '../policy/model.js';
import { kernelWords } from './command-line-lookup.js';
import type { Compiled } from './compile.js';
import { quoted } from './digest-text.js';
import type { CommandLine } from './state.js';
import { counting, type Tally } from './tally.js';

/** Of the rules that a kernel has by itself, these measure a file of rules when it is loaded. */
const measuresPolicies = /^ima_policy=(.*[ |])?tcb([ |]|$)/;

/**
 * What the policy says of one line, once and for all.
 * @param byDigest whether the digest is accepted of a line whose text is not known
 */
export function commandLine(
  place: Pick<CommandLine, 'source' | 'pcr' | 'event'>,
  text: string | undefined,
  byDigest: boolean,
  compiled: Compiled | undefined,
): CommandLine {
  if (text === undefined || !compiled)
    return { ...place, text, accepted: byDigest, lacks: [], setsRules: false };
  const accepted = compiled.commandLines.accepts(text);
  const setsRules = accepted && hasRules(kernelWords(text), compiled.policy.runtime);
  return { ...place, text, accepted, lacks: compiled.commandLines.missing(text), setsRules };
}

/** The words that the policy names; and where it names files of rules, the word by which the kernel measures these. */
function hasRules(words: readonly string[], runtime: RuntimeRule | undefined): boolean {
  const { policies = [], commandLine = [] } = runtime?.rules ?? {};
  if (policies.length + commandLine.length === 0) return false;
  const named = commandLine.length === 0 || words.some((word) => commandLine.includes(word));
  return named && (policies.length === 0 || words.some((word) => measuresPolicies.test(word)));
}

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
export function judgeEffectiveLines(lines: readonly CommandLine[]): Tally {
  const tally = counting();
  if (lines.length === 0) {
    const message = 'no command line was measured';
    tally.add('unknown', () => ({ code: 'command_line_missing', message, log: 'boot-log' }));
  }
  for (const { lacks, source, pcr, event } of effectiveLines(lines)) {
    const log = source === 'kexec' ? 'ima-list' : 'boot-log';
    for (const word of lacks) {
      const message = `the command line in event ${event} of PCR ${pcr} lacks the word ${quoted(word)}`;
      tally.add('fail', () => ({ code: 'command_line_word_missing', message, log, event, pcr, value: word }));
    }
  }
  return tally.done();
}

/** Whether every line that counts is accepted and sets IMA rules, and its register is explained. */
export function showsRules(lines: readonly CommandLine[], isExplained: (pcr: number) => boolean): boolean {
  const effective = effectiveLines(lines);
  return effective.length > 0 && effective.every(({ setsRules, pcr }) => setsRules && isExplained(pcr));
}
