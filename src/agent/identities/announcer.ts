/** Tells listeners once per turn of the event loop, however much changed in it. */
export class Announcer {
  readonly #listeners = new Set<() => void>();
  #pending: NodeJS.Immediate | undefined;

  soon(): void {
    this.#pending ??= setImmediate(() => {
      this.#pending = undefined;
      for (const listener of [...this.#listeners]) listener();
    });
  }

  listen(listener: () => void): () => void {
    // Each subscription is its own, even of one function.
    const own = () => listener();
    this.#listeners.add(own);
    return () => {
      this.#listeners.delete(own);
    };
  }

  stop(): void {
    clearImmediate(this.#pending);
    this.#pending = undefined;
    this.#listeners.clear();
  }
}
