/** Questions to a thread of its own, for what would hold up the event loop. */
import { Worker } from 'node:worker_threads';

/** A message that names a question, on its way there or as its answer. */
export interface Numbered {
  readonly id: number;
}

export interface Thread<Question extends object, Answer extends Numbered> extends AsyncDisposable {
  /** @throws Error when the thread fails or is ended before it answers; the next question starts another */
  ask(question: Question): Promise<Answer>;
  /** Says something that has no answer, to the thread that the next question goes to. */
  tell(message: object): void;
}

export interface ThreadOptions {
  /** A thread costs some megabytes: without a question for so many milliseconds it ends. Default: it stays. */
  readonly idleMs?: number;
  /** The thread is gone, and with it all that it was told. */
  readonly onEnd?: () => void;
}

interface Waiting<Answer> {
  done(answer: Answer): void;
  failed(error: Error): void;
}

/** @param url of a module that posts one answer, with its `id`, for each message that has one; it starts with the first */
export function createThread<Question extends object, Answer extends Numbered>(
  url: URL,
  { idleMs, onEnd }: ThreadOptions = {},
): Thread<Question, Answer> {
  const waiting = new Map<number, Waiting<Answer>>();
  let worker: Worker | undefined;
  let idle: NodeJS.Timeout | undefined;
  let lastId = 0;
  const end = async (error: Error) => {
    clearTimeout(idle);
    const ended = worker;
    worker = undefined;
    onEnd?.();
    for (const { failed } of [...waiting.values()]) failed(error);
    await ended?.terminate();
  };
  const start = () => {
    const started = new Worker(url);
    const over = (error: Error) => void (worker === started && end(error));
    started.on('message', (answer: Answer) => waiting.get(answer.id)?.done(answer));
    started.on('error', over);
    started.on('exit', () => over(new Error('the thread has ended')));
    return started;
  };
  const rest = () => {
    // Nothing is lost with it, so it keeps no process alive.
    worker?.unref();
    if (idleMs !== undefined) idle = setTimeout(() => void end(new Error('it rests')), idleMs).unref();
  };
  return {
    async ask(question) {
      clearTimeout(idle);
      lastId += 1;
      const id = lastId;
      const answered = new Promise<Answer>((done, failed) => waiting.set(id, { done, failed }));
      try {
        worker ??= start();
        worker.ref();
        worker.postMessage({ ...question, id });
        return await answered;
      } finally {
        waiting.delete(id);
        if (waiting.size === 0) rest();
      }
    },
    tell(message) {
      worker ??= start();
      worker.postMessage(message);
    },
    [Symbol.asyncDispose]: () => end(new Error('the server stops')),
  };
}
