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
  return new Tallying(from);
}

class Tallying implements Counting {
  readonly #from: Tally;
  #checked: number;
  #counts: Record<Severity, number> | undefined;
  #kept: Record<Severity, readonly ComponentReason[]> | undefined;

  constructor(from: Tally) {
    this.#from = from;
    this.#checked = from.checked;
  }

  check(): void {
    this.#checked++;
  }

  add(severity: Severity, reason: () => Reason): void {
    this.#counts ??= { ...this.#from.counts };
    this.#kept ??= { ...this.#from.kept };
    this.#counts[severity]++;
    const rows = this.#kept[severity];
    if (rows.length < MAX_REASONS) this.#kept[severity] = [...rows, reason()];
  }

  done(): Tally {
    if (!this.#counts && this.#checked === this.#from.checked) return this.#from;
    const { counts, kept } = this.#from;
    return { checked: this.#checked, counts: this.#counts ?? counts, kept: this.#kept ?? kept };
  }
}

/** All together, the first one's reasons first. */
export function allOf(...tallies: readonly Tally[]): Tally {
  return tallies.reduce(together, emptyTally);
}

function together(a: Tally, b: Tally): Tally {
  if (a === emptyTally) return b;
  if (b === emptyTally) return a;
  const checked = a.checked + b.checked;
  // What is only counted, which is most of what is judged, shares the other's reasons.
  if (saysNothing(a)) return { ...b, checked };
  if (saysNothing(b)) return { ...a, checked };
  const counts = { ...emptyTally.counts };
  const kept = { ...emptyTally.kept };
  for (const severity of severities) {
    counts[severity] = a.counts[severity] + b.counts[severity];
    kept[severity] = [...a.kept[severity], ...b.kept[severity]].slice(0, MAX_REASONS);
  }
  return { checked, counts, kept };
}

function saysNothing({ counts }: Tally): boolean {
  return severities.every((severity) => counts[severity] === 0);
}
