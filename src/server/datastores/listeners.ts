/** Callbacks that are told about what has already happened, so that none of them can fail it. */
export interface Listeners<T> {
  /** Returns the unsubscriber. */
  add(listener: (value: T) => void): () => void;
  /** Calls all, in the order in which they were added. One that throws is a defect: it is raised outside this call. */
  tell(value: T): void;
}

export function listeners<T>(): Listeners<T> {
  const all = new Set<{ readonly call: (value: T) => void }>();
  return {
    add(call) {
      const entry = { call };
      all.add(entry);
      return () => all.delete(entry);
    },
    tell(value) {
      for (const { call } of all) {
        try {
          call(value);
        } catch (error) {
          queueMicrotask(() => {
            throw error;
          });
        }
      }
    },
  };
}
