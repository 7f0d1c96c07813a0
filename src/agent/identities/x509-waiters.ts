import { TouchmarkError } from '../../errors.js';

interface Waiter {
  resolve(): void;
  reject(error: Error): void;
}

/** Callers who wait for one entry's SVID. Each is settled once: by its answer, or by its own signal. */
export class Waiters {
  readonly #waiting = new Set<Waiter>();

  get any(): boolean {
    return this.#waiting.size > 0;
  }

  /** @throws TouchmarkError `svid_unavailable` when the signal ends first, and what `reject` is given */
  wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const gone = () => waiter.reject(new TouchmarkError('svid_unavailable', 'the caller went away'));
      const finish = (settle: () => void) => {
        this.#waiting.delete(waiter);
        signal.removeEventListener('abort', gone);
        settle();
      };
      const waiter: Waiter = {
        resolve: () => finish(resolve),
        reject: (error) => finish(() => reject(error)),
      };
      this.#waiting.add(waiter);
      signal.addEventListener('abort', gone, { once: true });
      if (signal.aborted) gone();
    });
  }

  resolve(): void {
    for (const waiter of [...this.#waiting]) waiter.resolve();
  }

  reject(error: Error): void {
    for (const waiter of [...this.#waiting]) waiter.reject(error);
  }
}
