import { type Clock, unixSeconds } from '../../clock.js';
import { messageOf } from '../../errors.js';
import type { Logger } from '../../log.js';
import { commitPlan } from '../commit.js';
import type { Condition, Datastore, Stored, Write } from '../datastores/contract.js';
import { startDueTimer } from '../due-timer.js';
import type { JoinToken } from '../model.js';

export interface TokenPrunerDeps {
  readonly store: Datastore;
  readonly clock: Clock;
  readonly log: Logger;
}

const PAGE = 1000;
const MOST_AT_ONCE = 500;

/** Removes join tokens that nobody used when they expire. One that has expired is refused, whether it is removed yet or not. */
export async function startTokenPruner(deps: TokenPrunerDeps): Promise<Disposable> {
  const { store, clock } = deps;
  /** Unix seconds by hash. */
  const ends = new Map<string, number>();
  let expect = (_at: number): void => {};
  const unsubscribe = store.subscribe(({ writes }) => {
    for (const write of writes) if (write.kind === 'join_token') expect(take(ends, write));
  });
  try {
    await load(store, ends);
  } catch (error) {
    unsubscribe();
    throw error;
  }
  const next = () => [...ends.values()].reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const timer = startDueTimer(clock, { next, run: () => removeExpired(deps, ends) });
  expect = (at) => timer.expect(at);
  return {
    [Symbol.dispose]() {
      unsubscribe();
      timer[Symbol.dispose]();
    },
  };
}

/** @returns when it ends; never, when it is gone */
function take(ends: Map<string, number>, write: Extract<Write, { kind: 'join_token' }>): number {
  if ('deleted' in write) {
    ends.delete(write.key);
    return Number.POSITIVE_INFINITY;
  }
  ends.set(write.key, write.value.expiresAt);
  return write.value.expiresAt;
}

async function load(store: Datastore, ends: Map<string, number>): Promise<void> {
  for (let after: string | undefined = ''; after !== undefined; ) {
    const page: Stored<JoinToken>[] = await store.list('join_token', { after, limit: PAGE });
    for (const { key, value } of page) ends.set(key, value.expiresAt);
    after = page.length < PAGE ? undefined : page.at(-1)?.key;
  }
}

/** @returns whether everything that has expired is gone */
async function removeExpired(
  { store, clock, log }: TokenPrunerDeps,
  ends: Map<string, number>,
): Promise<boolean> {
  const now = unixSeconds(clock);
  const expired = [...ends].filter(([, at]) => at <= now).map(([key]) => key);
  try {
    for (let from = 0; from < expired.length; from += MOST_AT_ONCE) {
      const keys = expired.slice(from, from + MOST_AT_ONCE);
      await commitPlan(store, () => planRemoval(store, keys, now));
      // Also those that were gone from the store already.
      for (const key of keys) if ((ends.get(key) ?? 0) <= now) ends.delete(key);
    }
    if (expired.length > 0) log.info('join tokens expired unused', { count: expired.length });
    return true;
  } catch (error) {
    log.error('join tokens that have expired could not be removed', { error: messageOf(error) });
    return false;
  }
}

/** Each under the condition that it is still the one that was read: a token may be used, or made anew, meanwhile. */
async function planRemoval(store: Datastore, keys: readonly string[], now: number) {
  const writes: Write[] = [];
  const conditions: Condition[] = [];
  for (const key of keys) {
    const stored = await store.get('join_token', key);
    if (stored === undefined || stored.value.expiresAt > now) continue;
    writes.push({ kind: 'join_token', key, deleted: true });
    conditions.push({ kind: 'join_token', key, revision: stored.revision });
  }
  return { writes, conditions, result: undefined };
}
