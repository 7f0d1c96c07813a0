import type { Clock } from '../../clock.js';

/** Tells many of something that is large for each of them, a few in a turn. */
export interface Spread<T> extends Disposable {
  /** Those that wait already keep their place. */
  begin(items: Iterable<T>): void;
}

const TURN_MS = 100;

/**
 * What is on its way lies in memory once for each receiver: a fleet must not be sent megabytes at one moment.
 * @param bytesPerSecond over all
 * @param size of what each of them is about to be sent
 */
export function createSpread<T>(
  clock: Clock,
  bytesPerSecond: number,
  size: () => number,
  tell: (item: T) => void,
): Spread<T> {
  const waiting = new Set<T>();
  let cancel: (() => void) | undefined;
  const turn = () => {
    let left = Math.max(1, Math.floor((bytesPerSecond * TURN_MS) / 1000 / Math.max(1, size())));
    for (const item of waiting) {
      if (left === 0) break;
      left -= 1;
      waiting.delete(item);
      tell(item);
    }
    cancel = waiting.size === 0 ? undefined : clock.after(TURN_MS, turn);
  };
  return {
    begin(items) {
      for (const item of items) waiting.add(item);
      if (cancel === undefined) turn();
    },
    [Symbol.dispose]: () => cancel?.(),
  };
}
