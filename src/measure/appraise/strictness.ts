import type { OnFail } from '../policy/model.js';

interface Rule {
  readonly onFail: OnFail;
}

const strictness: Readonly<Record<OnFail, number>> = { warn: 0, suspect: 1, drift: 2 };

/**
 * Whether a failure of a rule has at least the consequence that one of the other has: then what the first reports need not be
 * reported by the other as well, and what the other leaves to the first is not lost.
 */
export function isAsStrict(rule: Rule | undefined, as: Rule | undefined): boolean {
  return rule !== undefined && strictness[rule.onFail] >= strictness[as?.onFail ?? 'drift'];
}
