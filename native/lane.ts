/** Runs tasks one after the other, in the order in which they came; a task that fails does not stop the next one. */
export interface Lane {
  run<T>(task: () => Promise<T>): Promise<T>;
  /** Tasks running or waiting. */
  readonly length: number;
}

export function createLane(): Lane {
  let tail: Promise<unknown> = Promise.resolve();
  let length = 0;
  return {
    get length() {
      return length;
    },
    run(task) {
      length += 1;
      const result = tail.then(task);
      tail = result.then(
        () => {
          length -= 1;
        },
        () => {
          length -= 1;
        },
      );
      return result;
    },
  };
}

/** Thrown by `within`. The work goes on: nobody can stop a C call. */
export class LaneTimeout extends Error {
  override readonly name = 'LaneTimeout';
}

/** Waits at most `limitMs` for work that cannot be cancelled. */
export function within<T>(limitMs: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new LaneTimeout(`no answer within ${limitMs} ms`)), limitMs);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
