/**
 * What was opened, closed in reverse order: AsyncDisposableStack, which Node 20 lacks. One failure does not keep
 * the rest open; the first one is thrown at the end.
 */
export class Disposal implements AsyncDisposable {
  readonly #steps: (() => PromiseLike<void> | void)[] = [];

  use<T extends AsyncDisposable | Disposable>(resource: T): T {
    this.defer(() => {
      if (Symbol.asyncDispose in resource) return resource[Symbol.asyncDispose]();
      return resource[Symbol.dispose]();
    });
    return resource;
  }

  defer(step: () => PromiseLike<void> | void): void {
    this.#steps.push(step);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    let failure: { error: unknown } | undefined;
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      try {
        await step();
      } catch (error) {
        failure ??= { error };
      }
    }
    if (failure) throw failure.error;
  }
}
