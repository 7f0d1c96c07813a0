import type { Flag } from '../verb.js';

const behaviours: Readonly<Record<string, 0 | 1 | 2 | 3>> = { exact: 0, subset: 1, superset: 2, any: 3 };

/** How a set that is asked for must stand to the set that an object has. */
export function matchFlags(name: string, what: string): Flag[] {
  return [
    {
      name,
      type: 'string',
      doc: `How the ${what} must match: exact, subset, superset or any.`,
      default: 'superset',
      choices: Object.keys(behaviours),
    },
  ];
}

/** MatchBehavior of SelectorMatch and FederatesWithMatch. */
export function matchBehaviour(word: string): 0 | 1 | 2 | 3 {
  return behaviours[word] ?? 2;
}
