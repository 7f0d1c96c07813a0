/** Things to be disposed of in the reverse of the order in which they were opened. */
export interface Cleanup extends AsyncDisposable {
  /** Remembers a resource, and gives it back. */
  add<T extends AsyncDisposable | Disposable>(resource: T): T;
  defer(task: () => void | Promise<void>): void;
}

/** What one disposal throws does not keep the others from running; the first error is thrown at the end. */
export function createCleanup(): Cleanup {
  const tasks: (() => void | PromiseLike<void>)[] = [];
  return {
    add(resource) {
      tasks.push(() => {
        if (Symbol.asyncDispose in resource) return resource[Symbol.asyncDispose]();
        return resource[Symbol.dispose]();
      });
      return resource;
    },
    defer: (task) => void tasks.push(task),
    async [Symbol.asyncDispose]() {
      const errors: unknown[] = [];
      for (let task = tasks.pop(); task !== undefined; task = tasks.pop()) {
        try {
          await task();
        } catch (error) {
          errors.push(error);
        }
      }
      if (errors.length > 0) throw errors[0];
    },
  };
}
