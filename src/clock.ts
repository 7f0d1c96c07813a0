/** Where time comes from. Everything that reads the time takes a Clock, so that tests can move it. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Milliseconds that pass alike whatever is done to the time of day; the start means nothing. */
  monotonic(): number;
  /** Runs `task` once after `delayMs`; the returned function cancels it. Timers never keep a process alive. */
  after(delayMs: number, task: () => void): () => void;
}

/** setTimeout holds a signed 32-bit number of milliseconds; a longer delay would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, task) {
    const wait = Math.min(Math.max(0, delayMs), LONGEST_TIMER_MS);
    let cancel: () => void;
    const timer = setTimeout(() => {
      if (wait < delayMs) cancel = systemClock.after(delayMs - wait, task);
      else task();
    }, wait);
    timer.unref();
    cancel = () => clearTimeout(timer);
    return () => cancel();
  },
};

/** Unix seconds, rounded down, as certificates, tokens and SPIRE's API carry them. */
export function unixSeconds(clock: Clock): number {
  return Math.floor(clock.now() / 1000);
}
