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

interface State {
  pending: boolean;
  failure: Error | undefined;
  wake(): void;
  interrupt(error: Error): void;
}

/** @param signal the turns throw its reason once it fires: they never just end */
export function createTurns(signal: AbortSignal): Turns {
  const state: State = { pending: true, failure: undefined, wake() {}, interrupt() {} };
  return {
    stir() {
      state.pending = true;
      state.wake();
    },
    fail(error) {
      state.failure = error;
      state.wake();
      state.interrupt(error);
    },
    unlessFailed: (work) =>
      new Promise((resolve, reject) => {
        state.interrupt = reject;
        if (state.failure !== undefined) reject(state.failure);
        work.then(resolve, reject);
      }),
    [Symbol.asyncIterator]: () => turns(state, signal),
  };
}

async function* turns(state: State, signal: AbortSignal): AsyncGenerator<void> {
  const onAbort = () => state.wake();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    for (;;) {
      signal.throwIfAborted();
      if (state.failure !== undefined) throw state.failure;
      if (state.pending) {
        state.pending = false;
        yield;
      } else {
        await new Promise<void>((resolve) => {
          state.wake = resolve;
        });
      }
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
