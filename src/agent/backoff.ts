import type { Clock } from '../clock.js';

export interface BackoffLimits {
  readonly firstMs: number;
  readonly mostMs: number;
}

/** Exponential waiting with full jitter on the upper half: a fleet that lost its server does not come back in step. */
export interface Backoff {
  /** Milliseconds until the next attempt; doubles each time, up to the cap. */
  next(): number;
  reset(): void;
  readonly attempts: number;
}

export function createBackoff(limits: BackoffLimits, random: () => number = Math.random): Backoff {
  let attempts = 0;
  return {
    next() {
      const ceiling = Math.min(limits.mostMs, limits.firstMs * 2 ** Math.min(attempts, 30));
      attempts += 1;
      return Math.round(ceiling / 2 + (ceiling / 2) * random());
    },
    reset() {
      attempts = 0;
    },
    get attempts() {
      return attempts;
    },
  };
}

/**
 * Waits on the given clock; returns early when the signal ends or `wake` calls. Never rejects: the loop that waits looks
 * at its signal anyway.
 */
export function pause(
  clock: Clock,
  ms: number,
  signal: AbortSignal,
  wake?: (listener: () => void) => () => void,
): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    let stopWaking = () => {};
    const done = () => {
      cancel();
      stopWaking();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const cancel = clock.after(ms, done);
    signal.addEventListener('abort', done, { once: true });
    if (wake !== undefined) stopWaking = wake(done);
  });
}
