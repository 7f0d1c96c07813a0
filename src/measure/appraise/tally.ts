import type { ComponentReason } from './contract.js';
import type { ReasonCode } from './reasons.js';

/** A reason as it is made: its code is of the table. */
export type Reason = ComponentReason & { readonly code: ReasonCode };

/** From worst to harmless. A note changes no result: it says what was left out. */
export const severities = ['fail', 'unknown', 'warn', 'note'] as const;
export type Severity = (typeof severities)[number];

/** Reasons that are kept of each severity; the rest is counted. */
export const MAX_REASONS = 20;

/** What was compared, and what came of it. Plain data that is never changed: `counting` starts from a copy. */
export interface Tally {
  readonly checked: number;
  readonly counts: Readonly<Record<Severity, number>>;
  readonly kept: Readonly<Record<Severity, readonly ComponentReason[]>>;
}

export const emptyTally: Tally = {
  checked: 0,
  counts: { fail: 0, unknown: 0, warn: 0, note: 0 },
  kept: { fail: [], unknown: [], warn: [], note: [] },
};

export interface Counting {
  /** One more measurement was compared with the policy. */
  check(): void;
  /** The reason is made only if it is kept: a hostile log can have a hundred thousand. */
  add(severity: Severity, reason: () => Reason): void;
  done(): Tally;
}

export function counting(from: Tally = emptyTally): Counting {
  let checked = from.checked;
  let counts: Record<Severity, number> | undefined;
  let kept: Record<Severity, readonly ComponentReason[]> | undefined;
  return {
    check: () => {
      checked++;
    },
    add: (severity, reason) => {
      counts ??= { ...from.counts };
      kept ??= { ...from.kept };
      counts[severity]++;
      const rows = kept[severity];
      if (rows.length < MAX_REASONS) kept[severity] = [...rows, reason()];
    },
    done: () => {
      if (!counts && checked === from.checked) return from;
      return { checked, counts: counts ?? from.counts, kept: kept ?? from.kept };
    },
  };
}

/** All together, the first one's reasons first. */
export function allOf(...tallies: readonly Tally[]): Tally {
  return tallies.reduce(together, emptyTally);
}

function together(a: Tally, b: Tally): Tally {
  if (a === emptyTally) return b;
  if (b === emptyTally) return a;
  const counts = { ...emptyTally.counts };
  const kept = { ...emptyTally.kept };
  for (const severity of severities) {
    counts[severity] = a.counts[severity] + b.counts[severity];
    kept[severity] = [...a.kept[severity], ...b.kept[severity]].slice(0, MAX_REASONS);
  }
  return { checked: a.checked + b.checked, counts, kept };
}
