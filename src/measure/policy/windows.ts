import type { ManifestProblem } from './problem.js';
import { shown } from './validate.js';

export interface WrittenWindow {
  readonly from: string;
  readonly until: string;
}

/** Unix milliseconds of a time that has the form of the schema; NaN for a day or an hour that is in no calendar. */
export function readTime(text: string): number {
  const at = Date.parse(text);
  const sameDay = new Date(`${text.slice(0, 10)}T00:00:00Z`);
  if (Number.isNaN(sameDay.getTime()) || !sameDay.toISOString().startsWith(text.slice(0, 10)))
    return Number.NaN;
  return at;
}

export function writeTime(at: number): string {
  return new Date(at).toISOString().replace('.000Z', 'Z');
}

/** Windows that are none, and windows of one list that lie over one another. */
export function windowProblems(key: string, windows: readonly WrittenWindow[]): ManifestProblem[] {
  const problems: ManifestProblem[] = [];
  const bad = (path: (string | number)[], message: string) =>
    problems.push({ code: 'manifest_invalid', path: [key, ...path], message });
  const read = windows.map(({ from, until }, index) => {
    const times = { index, from: readTime(from), until: readTime(until) };
    if (Number.isNaN(times.from)) bad([index, 'from'], `${shown(from)} is on no calendar`);
    if (Number.isNaN(times.until)) bad([index, 'until'], `${shown(until)} is on no calendar`);
    if (times.from >= times.until) bad([index], 'ends before it begins: until must be later than from');
    return times;
  });
  const sorted = read.filter(({ from, until }) => from < until).sort((a, b) => a.from - b.from);
  for (const [place, window] of sorted.entries()) {
    const next = sorted[place + 1];
    if (next === undefined || next.from >= window.until) continue;
    const [first, second] = [window.index, next.index].sort((a, b) => a - b);
    bad([second ?? 0], `overlaps ${key}[${first}]; write one window, or let one begin where the other ends`);
  }
  return problems;
}
