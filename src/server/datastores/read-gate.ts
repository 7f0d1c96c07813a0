/** Lets many readers in at once, and keeps them out while one task needs the resource for itself. */
export interface ReadGate {
  read<T>(task: () => Promise<T>): Promise<T>;
  /** Waits for the readers inside; those that come meanwhile wait for the task. Not re-entrant. */
  alone<T>(task: () => Promise<T>): Promise<T>;
}

export function readGate(): ReadGate {
  const inside = new Set<Promise<unknown>>();
  let closed: Promise<unknown> | undefined;
  return {
    async read(task) {
      while (closed !== undefined) await closed;
      const reading = task();
      const settled = reading.then(
        () => {},
        () => {},
      );
      inside.add(settled);
      void settled.then(() => inside.delete(settled));
      return reading;
    },
    async alone(task) {
      const turn = Promise.all(inside).then(task);
      closed = turn.then(
        () => {},
        () => {},
      );
      try {
        return await turn;
      } finally {
        closed = undefined;
      }
    },
  };
}
