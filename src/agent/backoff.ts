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

/** Milliseconds to wait after so many attempts that failed before this one. */
export function backoffMs(limits: BackoffLimits, attempts: number, random: () => number): number {
  const ceiling = Math.min(limits.mostMs, limits.firstMs * 2 ** Math.min(attempts, 30));
  return Math.round(ceiling / 2 + (ceiling / 2) * random());
}

export function createBackoff(limits: BackoffLimits, random: () => number = Math.random): Backoff {
  let attempts = 0;
  return {
    next() {
      const wait = backoffMs(limits, attempts, random);
      attempts += 1;
      return wait;
    },
    reset() {
      attempts = 0;
    },
    get attempts() {
      return attempts;
    },
  };
}

const SHORTEST_RENEWAL_MS = 1_000;

/**
 * When to replace what was received now: at half of what is left of its life, give or take a tenth, so that what was issued
 * together is not renewed together; a second from now at the soonest.
 * @param now Unix milliseconds, as is the result
 * @param expiresAt Unix seconds
 */
export function renewalTime(now: number, expiresAt: number, random: () => number): number {
  const left = expiresAt * 1000 - now;
  return now + Math.max(SHORTEST_RENEWAL_MS, (left / 2) * (0.9 + 0.2 * random()));
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
