/** Runs tasks strictly one after the other, in the order in which they were given. */
export interface SerialLane {
  run<T>(task: () => Promise<T>): Promise<T>;
  /** Resolves when all that was given has settled. */
  drained(): Promise<void>;
}

export function serialLane(): SerialLane {
  let last: Promise<unknown> = Promise.resolve();
  return {
    run(task) {
      const turn = last.then(task);
      last = turn.then(
        () => {},
        () => {},
      );
      return turn;
    },
    drained: async () => {
      await last;
    },
  };
}
