import type { Clock } from '../../src/clock.js';

/** Time that stands still until a test moves it. */
export interface ManualClock extends Clock {
  /** Moves on, running what falls due on the way in the order of its time. */
  advance(ms: number): void;
  /** Moves on in steps, letting promises and immediates run in between: for code that waits and then waits again. */
  pass(ms: number, stepMs?: number): Promise<void>;
  /** Somebody sets the time of day: no time passes, and timers run when they would have. */
  set(byMs: number): void;
  readonly timers: number;
}

interface Timer {
  readonly at: number;
  readonly task: () => void;
}

export function manualClock(start = 1_790_000_000_000): ManualClock {
  let time = start;
  let setBy = 0;
  const timers = new Set<Timer>();
  const next = (until: number): Timer | undefined =>
    [...timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
  const clock: ManualClock = {
    now: () => time + setBy,
    monotonic: () => time - start,
    after(delayMs, task) {
      const timer = { at: time + Math.max(0, delayMs), task };
      timers.add(timer);
      return () => {
        timers.delete(timer);
      };
    },
    advance(ms) {
      const until = time + ms;
      for (let timer = next(until); timer !== undefined; timer = next(until)) {
        timers.delete(timer);
        time = Math.max(time, timer.at);
        timer.task();
      }
      time = until;
    },
    async pass(ms, stepMs = ms) {
      for (let left = ms; left > 0; left -= stepMs) {
        clock.advance(Math.min(stepMs, left));
        await settle();
      }
    },
    set(byMs) {
      setBy += byMs;
    },
    get timers() {
      return timers.size;
    },
  };
  return clock;
}

/** Lets everything that is ready run: promises, immediates, and key generation on its pool thread. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Waits in real time until something holds; fails with its name after `ms`. */
export async function until(what: string, holds: () => boolean, ms = 5_000): Promise<void> {
  const end = Date.now() + ms;
  while (!holds()) {
    if (Date.now() > end) throw new Error(`timed out waiting until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
