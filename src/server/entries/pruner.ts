import { type Clock, unixSeconds } from '../../clock.js';
import { messageOf } from '../../errors.js';
import type { Logger } from '../../log.js';
import type { Audit } from '../access/audit.js';
import type { Registry } from '../contract.js';
import { startDueTimer } from '../due-timer.js';
import type { Entries } from './entries.js';

export interface PrunerDeps {
  readonly registry: Registry;
  readonly entries: Entries;
  readonly clock: Clock;
  readonly log: Logger;
  readonly audit: Audit;
}

const MOST_AT_ONCE = 500;

/**
 * Removes entries when they reach their end. An entry that has ended is not issued for from that second on, whether it is
 * removed yet or not.
 */
export function startEntryPruner(deps: PrunerDeps): Disposable {
  const { registry, clock } = deps;
  const timer = startDueTimer(clock, { next: () => nextEnd(registry), run: () => removeEnded(deps) });
  const unsubscribe = registry.onChange(({ entries }) => {
    for (const { after } of entries) {
      if (after !== undefined && after.expiresAt > 0) timer.expect(after.expiresAt);
    }
  });
  return {
    [Symbol.dispose]() {
      unsubscribe();
      timer[Symbol.dispose]();
    },
  };
}

/** @returns whether everything that has ended is gone */
async function removeEnded({ registry, entries, clock, log, audit }: PrunerDeps): Promise<boolean> {
  const now = unixSeconds(clock);
  const ended: string[] = [];
  for (const { id, expiresAt } of registry.entries()) {
    if (expiresAt > 0 && expiresAt <= now) ended.push(id);
  }
  try {
    for (let from = 0; from < ended.length; from += MOST_AT_ONCE) {
      const ids = ended.slice(from, from + MOST_AT_ONCE);
      const outcomes = await entries.removeEnded(ids, now);
      const failure = outcomes.find(({ error }) => error !== undefined && error.code !== 'entry_not_found');
      if (failure?.error !== undefined) throw failure.error;
      audit.event('entry_pruned', { entry_ids: ids, count: ids.length });
    }
    return true;
  } catch (error) {
    log.error('entries that have ended could not be removed', { error: messageOf(error) });
    return false;
  }
}

function nextEnd(registry: Registry): number {
  let next = Number.POSITIVE_INFINITY;
  for (const { expiresAt } of registry.entries()) {
    if (expiresAt > 0 && expiresAt < next) next = expiresAt;
  }
  return next;
}
