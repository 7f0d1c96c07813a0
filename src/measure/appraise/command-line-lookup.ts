import { compileWordGlob, type Matches } from '../policy/glob.js';
import type { CommandLineRule, ReferenceSet } from '../policy/model.js';

export interface CommandLineLookup {
  /** Whether a whole line is named by a reference, or matches a glob of the policy. */
  accepts(text: string): boolean;
  /** Lines that references name: what a digest may be of. */
  readonly known: readonly string[];
  /** Required words that are missing before `--`. */
  missing(text: string): readonly string[];
  /** Words that must not be there. */
  forbidden(text: string): readonly string[];
}

/** The kernel cuts off what is longer, and with it perhaps the word that was required. */
const MAX_LINE = 2047;
/** What everybody reads alike: the kernel ends a line at NUL and line feed, and takes the byte a0 for a space. */
const readable = /^[\x20-\x7e]*$/;
/** The kernel leaves these within words, systemd takes them away. */
const ambiguous = /["'\\]/;

/** Undefined: any number of words. */
type Pattern = readonly (Matches | undefined)[];

export function commandLineLookup(
  sets: readonly ReferenceSet[],
  rule: CommandLineRule | undefined,
): CommandLineLookup {
  const lines = sets.flatMap(({ commandLines, ukis }) => [
    ...commandLines,
    ...ukis.map(({ commandLine }) => commandLine).filter((line) => line !== ''),
  ]);
  const exact = new Set(lines.map((line) => trimmed(withoutEnd(line))));
  const globs = (rule?.accept ?? []).map(linePattern);
  const require = (rule?.require ?? []).map((word) => ({ word, matches: compileWordGlob(named(word)) }));
  const forbid = (rule?.forbid ?? []).map((word) => compileWordGlob(named(word)));
  return {
    known: [...exact],
    accepts: (line) => {
      const whole = withoutEnd(line);
      if (whole.length > MAX_LINE || !isReadable(whole)) return false;
      // GRUB measures the line without this, and hands it over with it.
      return [whole, whole.replace(/^BOOT_IMAGE=/, '')].some((text) => {
        if (exact.has(trimmed(text))) return true;
        const words = wordsOf(text);
        if (words.some((word) => ambiguous.test(word))) return false;
        return globs.some((pattern) => matchesWords(pattern, words));
      });
    },
    missing: (text) => {
      const words = kernelWords(text).map(named);
      return require.filter(({ matches }) => !words.some(matches)).map(({ word }) => word);
    },
    forbidden: (text) => wordsOf(text).filter((word) => forbid.some((matches) => matches(named(word)))),
  };
}

/** Whether a text is all printable ASCII. */
export function isReadable(text: string): boolean {
  return readable.test(text);
}

/** A line as it is before the line feed that images and loaders leave at its end. */
function withoutEnd(line: string): string {
  return line.replace(/\n$/, '');
}

function trimmed(line: string): string {
  return line.replace(/^ +/, '').replace(/ +$/, '');
}

/** Words as the kernel splits them (`next_arg`): at white space outside of double quotes. */
export function wordsOf(line: string): string[] {
  const words: string[] = [];
  let start = 0;
  let quoted = false;
  const take = (end: number) => {
    const word = unquoted(line.slice(start, end));
    if (word !== '') words.push(word);
    start = end + 1;
  };
  for (let at = 0; at < line.length; at++) {
    const char = line[at] ?? '';
    if (char === '"') quoted = !quoted;
    else if (!quoted && /\s/.test(char)) take(at);
  }
  take(line.length);
  return words;
}

/** Only quotes around a whole word or its value are taken away. */
function unquoted(word: string): string {
  const text = word.replace(/^"/, '');
  const value = text.indexOf('=', 1) + 1;
  const ofValue = value > 0 && text[value] === '"';
  const cut = ofValue || text !== word ? text.replace(/"$/, '') : text;
  return ofValue ? cut.slice(0, value) + cut.slice(value + 1) : cut;
}

/** What follows `--` is for the first process, and sets nothing in the kernel. */
export function kernelWords(line: string): string[] {
  const words = wordsOf(line);
  const end = words.indexOf('--');
  return end < 0 ? words : words.slice(0, end);
}

/** To the kernel `-` and `_` are one in the name of a parameter. */
function named(word: string): string {
  const end = word.indexOf('=');
  return end < 0 ? word.replaceAll('-', '_') : word.slice(0, end).replaceAll('-', '_') + word.slice(end);
}

/**
 * Word by word, so that no star takes in a further parameter; the word `**` alone stands for any number of words. In a word
 * no character is special to a star: `init=*` is also `init=/bin/sh`.
 */
function linePattern(glob: string): Pattern {
  return wordsOf(glob).map((word) => (word === '**' ? undefined : compileWordGlob(word)));
}

/** Two pointers, back to the last `**` on a mismatch: at most words x pattern steps. */
function matchesWords(pattern: Pattern, words: readonly string[]): boolean {
  let [at, word, star, resume] = [0, 0, -1, 0];
  while (word < words.length) {
    const matcher = pattern[at];
    if (at < pattern.length && matcher === undefined) {
      star = at++;
      resume = word;
    } else if (matcher?.(words[word] ?? '')) {
      at++;
      word++;
    } else if (star >= 0) {
      at = star + 1;
      word = ++resume;
    } else return false;
  }
  while (at < pattern.length && pattern[at] === undefined) at++;
  return at === pattern.length;
}
