/**
 * Turns for one reader: the first at once, then one after any number of `stir`s, so that a slow reader never has more
 * than one waiting.
 */
export interface Turns extends AsyncIterable<void> {
  stir(): void;
  /** The reader's next turn throws this, and so does what it waits for by `unlessFailed`. */
  fail(error: Error): void;
  /** Waits for work only for as long as nothing failed; the work goes on for nobody. */
  unlessFailed<T>(work: Promise<T>): Promise<T>;
}

/** @param signal the turns throw its reason once it fires: they never just end */
export function createTurns(signal: AbortSignal): Turns {
  let pending = true;
  let failure: Error | undefined;
  let wake = () => {};
  let interrupt: (error: Error) => void = () => {};
  async function* turns(): AsyncGenerator<void> {
    const onAbort = () => wake();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      for (;;) {
        signal.throwIfAborted();
        if (failure !== undefined) throw failure;
        if (pending) {
          pending = false;
          yield;
        } else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }
  return {
    stir() {
      pending = true;
      wake();
    },
    fail(error) {
      failure = error;
      wake();
      interrupt(error);
    },
    unlessFailed: (work) =>
      new Promise((resolve, reject) => {
        interrupt = reject;
        if (failure !== undefined) reject(failure);
        work.then(resolve, reject);
      }),
    [Symbol.asyncIterator]: turns,
  };
}
