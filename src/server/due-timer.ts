import type { Clock } from '../clock.js';

export interface DueTasks {
  /** When the next thing falls due, in Unix seconds; Infinity: never. */
  readonly next: () => number;
  /** Deals with all that is due. @returns whether it could; what could not be dealt with is tried again soon */
  readonly run: () => Promise<boolean>;
}

export interface DueTimer extends Disposable {
  /** Something new falls due at this Unix second. */
  expect(at: number): void;
}

const RETRY_MS = 10_000;

/** One timer for many things that end, set to the end of the next one; nothing is polled. */
export function startDueTimer(clock: Clock, { next, run }: DueTasks): DueTimer {
  let dueAt = Number.POSITIVE_INFINITY;
  let cancel = () => {};
  let stopped = false;
  let running = false;
  const plan = (at: number, delayMs = Math.max(0, at * 1000 - clock.now())) => {
    cancel();
    dueAt = at;
    if (!stopped && Number.isFinite(at)) cancel = clock.after(delayMs, () => void work());
  };
  const work = async () => {
    if (running || stopped) return;
    running = true;
    const ok = await run();
    running = false;
    if (ok) plan(next());
    else plan(next(), RETRY_MS);
  };
  plan(next());
  return {
    expect(at) {
      if (at < dueAt) plan(at);
    },
    [Symbol.dispose]() {
      stopped = true;
      cancel();
    },
  };
}
