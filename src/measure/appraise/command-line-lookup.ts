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

/** Longer than any kernel takes. */
const MAX_LINE = 16 * 1024;

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
  const exact = new Set(lines.map((line) => line.trim()));
  const globs = (rule?.accept ?? []).map(linePattern);
  const require = (rule?.require ?? []).map((word) => ({ word, matches: compileWordGlob(named(word)) }));
  const forbid = (rule?.forbid ?? []).map((word) => compileWordGlob(named(word)));
  return {
    known: [...exact],
    accepts: (line) => {
      if (line.length > MAX_LINE) return false;
      // GRUB measures the line without this, and hands it over with it.
      return [line, line.replace(/^BOOT_IMAGE=/, '')].some((text) => {
        if (exact.has(text.trim())) return true;
        const words = wordsOf(text);
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

/** Words as the kernel splits them: at white space outside of double quotes, which are taken away. */
export function wordsOf(line: string): string[] {
  const words: string[] = [];
  let word = '';
  let quoted = false;
  for (const char of line) {
    if (char === '"') quoted = !quoted;
    else if (quoted || !/\s/.test(char)) word += char;
    else if (word !== '') {
      words.push(word);
      word = '';
    }
  }
  return word === '' ? words : [...words, word];
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
