/**
 * Turns for one reader: the first at once, then one after any number of `stir`s, so that a slow reader never has more
 * than one waiting.
 */
export interface Turns extends AsyncIterable<void> {
  stir(): void;
  /** The reader's next turn throws this. */
  fail(error: Error): void;
}

/** @param signal the turns throw its reason once it fires: they never just end */
export function createTurns(signal: AbortSignal): Turns {
  let pending = true;
  let failure: Error | undefined;
  let wake = () => {};
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
    },
    [Symbol.asyncIterator]: turns,
  };
}
