import { TouchmarkError } from '../errors.js';
import { FairQueue } from './fair-queue.js';

export interface SlowCallsOptions {
  /** Calls under way at the same time. */
  readonly most: number;
  /** For one call, from when its turn comes. */
  readonly timeoutMs: number;
  /** Calls of one user that wait. */
  readonly mostWaiting: number;
}

interface Job {
  readonly user: number;
  start(): Promise<void>;
  failed(error: Error): void;
}

/**
 * System calls about files that a caller chose: on a file system that somebody else serves (NFS, FUSE) each may hang, and
 * holds one of libuv's four threads while it does. Few run at a time, users take turns, and who has one hanging gets no other.
 */
export class SlowCalls {
  readonly #options: SlowCallsOptions;
  readonly #queue: FairQueue<Job>;
  #running = 0;
  /** Whose calls were given up and have not returned. */
  readonly #hanging: number[] = [];

  constructor(options: SlowCallsOptions) {
    this.#options = options;
    this.#queue = new FairQueue(options.mostWaiting);
  }

  /** @throws TouchmarkError `file_system_hangs`, and what the call throws */
  run<T>(user: number, call: () => Promise<T>): Promise<T> {
    return new Promise((resolve, failed) => {
      const start = () => this.#bounded(user, call, failed).then(resolve, failed);
      const added = this.#queue.add(user, { user, start, failed });
      if (added) this.#takeTurns();
      else failed(hangs(`user ${user} has too many files looked at`));
    });
  }

  #takeTurns(): void {
    const { most } = this.#options;
    while (this.#running < most || this.#hanging.length === most) {
      const job = this.#queue.next();
      if (job === undefined) return;
      if (this.#hanging.length === most) job.failed(hangs('earlier looks at files have not come back'));
      else if (this.#hanging.includes(job.user))
        job.failed(hangs(`an earlier look at a file of user ${job.user} has not come back`));
      else void job.start();
    }
  }

  async #bounded<T>(user: number, call: () => Promise<T>, failed: (error: Error) => void): Promise<T> {
    const { timeoutMs } = this.#options;
    this.#running += 1;
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#hanging.push(user);
      failed(hangs(`a file of user ${user} did not answer within ${timeoutMs} ms`));
      this.#takeTurns();
    }, timeoutMs);
    try {
      return await call();
    } finally {
      clearTimeout(timer);
      this.#running -= 1;
      if (late) this.#hanging.splice(this.#hanging.indexOf(user), 1);
      this.#takeTurns();
    }
  }
}

/** One for the process, as its threads are; a chip (`tpm/connection.ts`) and a name service (`names.ts`) can hold one more each. */
export const foreignFiles = new SlowCalls({ most: 2, timeoutMs: 5_000, mostWaiting: 1_024 });

function hangs(message: string): TouchmarkError {
  return new TouchmarkError('file_system_hangs', message);
}
