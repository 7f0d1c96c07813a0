/** Which identities hang on a judgement itself: those of entries for nodes with `measure:*` selectors. Pure. */
import type { Entry } from '../../spiffe/entry.js';
import { formatSelector } from '../../spiffe/selector.js';
import { hostSelectors } from '../hosts/selectors.js';
import type { Host } from '../model.js';

/** The selectors that an entry asks of a node, one of which comes from a judgement. */
export type MeasuredAlias = readonly string[];

const MEASURED = 'measure:';

export function measuredAliases(entries: Iterable<Entry>): MeasuredAlias[] {
  return [...entries]
    .filter(({ selectors }) => selectors.some(({ type }) => `${type}:` === MEASURED))
    .map(({ selectors }) => selectors.map(formatSelector));
}

/** Selectors of a host that it would not have then, and by which it matches an entry now. */
export function endedSelectors(now: Host, then: Host, aliases: readonly MeasuredAlias[]): readonly string[] {
  if (aliases.length === 0) return [];
  const had = new Set(hostSelectors(now).map(formatSelector));
  const has = new Set(hostSelectors(then).map(formatSelector));
  const matched = aliases.filter((wanted) => wanted.every((selector) => had.has(selector)));
  return [...new Set(matched.flat())].filter((selector) => !has.has(selector));
}
