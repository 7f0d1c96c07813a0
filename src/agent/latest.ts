/** A value of which only the newest counts, with a way to wait for the next one. */
export interface Latest<T> {
  readonly value: T;
  set(value: T): void;
  onChange(listener: () => void): () => void;
}

export function createLatest<T>(first: T): Latest<T> {
  const listeners = new Set<() => void>();
  let value = first;
  return {
    get value() {
      return value;
    },
    set(next) {
      if (next === value) return;
      value = next;
      for (const listener of [...listeners]) listener();
    },
    onChange(listener) {
      const own = () => listener();
      listeners.add(own);
      return () => {
        listeners.delete(own);
      };
    },
  };
}

/** Resolves at once or as soon as `found` gives something; undefined when the signal ends first. */
export function waitFor<T, R>(
  latest: Latest<T>,
  signal: AbortSignal,
  found: (value: T) => R | undefined,
): Promise<R | undefined> {
  return new Promise((resolve) => {
    const look = () => {
      const result = signal.aborted ? undefined : found(latest.value);
      if (result === undefined && !signal.aborted) return;
      stop();
      signal.removeEventListener('abort', look);
      resolve(result);
    };
    const stop = latest.onChange(look);
    signal.addEventListener('abort', look, { once: true });
    look();
  });
}
