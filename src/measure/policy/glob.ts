import { TouchmarkError } from '../../errors.js';

/** Longest pattern, in UTF-16 code units. */
export const MAX_GLOB_LENGTH = 1024;

/** Whether a whole text is what a pattern means. */
export type Matches = (text: string) => boolean;

const STAR = 0x2a;
const QUESTION = 0x3f;
const SLASH = 0x2f;

/**
 * Makes a test of a pattern: `*` stands for any text within one segment of a path, `**` for any text at all, `/**` + `/`
 * also for a single slash (and a leading `**` + `/` for nothing), `?` for one character that is no slash. Everything else
 * stands for itself, brackets and backslashes too; the whole text must match. No pattern and no text make it slow: one
 * pass over the text, with one bit for each character of the pattern.
 * @throws TouchmarkError `glob_invalid`
 */
export function compileGlob(pattern: string): Matches {
  checkGlob(pattern);
  return matcher(pattern);
}

/**
 * The same where a slash is a character like any other, so that one star is as good as two: for words. The pattern may be
 * a part of one that was checked; how long it becomes does not matter.
 */
export function compileWordGlob(pattern: string): Matches {
  return matcher(pattern.replace(/\*+/g, '**'));
}

function matcher(pattern: string): Matches {
  if (!isWild(pattern)) return (text) => text === pattern;
  const wild = pattern.search(/[*?]/);
  const prefix = pattern.slice(0, wild);
  const rest = pattern.slice(wild);
  if (rest === '**') return (text) => text.startsWith(prefix);
  if (!rest.includes('*')) return (text) => text.startsWith(prefix) && isOneByOne(pattern, text);
  // What follows a slash and begins with `**/` may also be that slash alone: the machine has to see where it began.
  const suffix = rest.slice(Math.max(rest.lastIndexOf('*'), rest.lastIndexOf('?')) + 1);
  const shortest = prefix.length + Math.max(0, suffix.length - 1);
  const run = machine(rest, prefix === '' || prefix.endsWith('/'));
  const tail = suffix.startsWith('/') ? suffix.slice(1) : suffix;
  return (text) =>
    text.length >= shortest && text.startsWith(prefix) && text.endsWith(tail) && run(text, prefix.length);
}

/** Whether it can match anything but itself. */
export function isWild(pattern: string): boolean {
  return /[*?]/.test(pattern);
}

/** Names with spaces become thousands of patterns without a star: they need no machine, and so no memory. */
function isOneByOne(pattern: string, text: string): boolean {
  let at = 0;
  for (let index = 0; index < pattern.length; index++, at++) {
    const code = pattern.charCodeAt(index);
    if (code !== QUESTION) {
      if (text.charCodeAt(at) !== code) return false;
      continue;
    }
    const char = text.codePointAt(at);
    if (char === undefined || char === SLASH) return false;
    if (char > 0xffff) at++;
  }
  return at === text.length;
}

/** @throws TouchmarkError `glob_invalid` */
export function checkGlob(pattern: string): void {
  const shown = JSON.stringify(pattern.slice(0, 100));
  const bad = (why: string) => new TouchmarkError('glob_invalid', `pattern ${shown} ${why}`);
  if (pattern === '') throw bad('is empty');
  if (pattern.length > MAX_GLOB_LENGTH) throw bad(`is longer than ${MAX_GLOB_LENGTH} characters`);
  if (pattern.includes('***')) throw bad('has more than two stars in a row');
  if (/\p{Cc}/u.test(pattern)) throw bad('holds a control character');
}

/** State i: the first i characters that consume something are behind us. Sets of states are bits. */
interface States {
  readonly words: number;
  /** Where `*` stands: stays on everything but a slash. */
  readonly within: Int32Array;
  /** Where `**` stands: stays on everything. */
  readonly across: Int32Array;
  /** Where a `**` + `/` may be left out, when just arrived. */
  readonly skip: Int32Array;
  /** By character: the states that it leads out of. `?` is in all but that of the slash. */
  readonly steps: ReadonlyMap<number, Int32Array>;
  readonly otherwise: Int32Array;
  readonly last: number;
}

function machine(pattern: string, atSegment: boolean): (text: string, from: number) => boolean {
  const states = compile(pattern, atSegment);
  const { words, last, skip } = states;
  const lastWord = last >>> 5;
  const lastBit = 1 << (last & 31);
  return (text, from) => {
    let now = new Int32Array(words);
    let next = new Int32Array(words);
    now[0] = 1 | (((skip[0] ?? 0) & 1) << 1);
    for (let at = from; at < text.length; ) {
      const code = text.codePointAt(at) ?? 0;
      at += code > 0xffff ? 2 : 1;
      if (!advance(states, code, now, next)) return false;
      [now, next] = [next, now];
    }
    return ((now[lastWord] ?? 0) & lastBit) !== 0;
  };
}

/** @returns whether any state is left */
function advance(states: States, code: number, now: Int32Array, next: Int32Array): boolean {
  const { words, within, across, skip, steps, otherwise } = states;
  const step = steps.get(code) ?? otherwise;
  let carry = 0;
  let skipCarry = 0;
  let any = 0;
  for (let word = 0; word < words; word++) {
    const from = now[word] ?? 0;
    const going = from & (step[word] ?? 0);
    const arrived = (going << 1) | carry;
    carry = going >>> 31;
    const skipping = arrived & (skip[word] ?? 0);
    const staying = from & ((across[word] ?? 0) | (code === SLASH ? 0 : (within[word] ?? 0)));
    const value = arrived | staying | (skipping << 1) | skipCarry;
    skipCarry = skipping >>> 31;
    next[word] = value;
    any |= value;
  }
  return any !== 0;
}

function compile(pattern: string, atSegment: boolean): States {
  // `/**/**/` means the same as `/**/`, and one skip never leads to another then.
  const codes = [...pattern.replace(/(?:\*\*\/){2,}/g, '**/')].map((char) => char.codePointAt(0) ?? 0);
  const last = codes.filter((code) => code !== STAR).length;
  const words = (last >>> 5) + 1;
  const bits = () => new Int32Array(words);
  const set = (into: Int32Array, state: number) => {
    into[state >>> 5] = (into[state >>> 5] ?? 0) | (1 << (state & 31));
  };
  const [within, across, skip, otherwise] = [bits(), bits(), bits(), bits()];
  const steps = new Map<number, Int32Array>([[SLASH, bits()]]);
  for (const code of codes)
    if (code !== STAR && code !== QUESTION && !steps.has(code)) steps.set(code, bits());
  let state = 0;
  for (const [index, code] of codes.entries()) {
    if (code === STAR) {
      const double = codes[index - 1] === STAR;
      set(double ? across : within, state);
      const opensSegment = index === 1 ? atSegment : codes[index - 2] === SLASH;
      if (double && opensSegment && codes[index + 1] === SLASH) set(skip, state);
      continue;
    }
    if (code === QUESTION) {
      set(otherwise, state);
      for (const [char, step] of steps) if (char !== SLASH) set(step, state);
    } else set(steps.get(code) ?? otherwise, state);
    state++;
  }
  return { words, within, across, skip, steps, otherwise, last };
}
