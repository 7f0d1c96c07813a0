/** Questions to a thread of its own, for what would hold up the event loop. */
import { Worker } from 'node:worker_threads';

/** A message that names a question, on its way there or as its answer. */
export interface Numbered {
  readonly id: number;
}

export interface Thread<Question extends object, Answer extends Numbered> extends AsyncDisposable {
  /**
   * One question is with the thread at a time; those behind it lose nothing when it fails.
   * @param question a function is called when its turn has come: what it tells goes to the thread that answers
   * @throws Error when the thread fails, is ended or takes too long over this question; the next one starts another
   */
  ask(question: Question | (() => Question)): Promise<Answer>;
  /** Says something that has no answer, to the thread that the next question goes to. */
  tell(message: object): void;
}

export interface ThreadOptions {
  /** A thread costs some megabytes: without a question for so many milliseconds it ends. Default: it stays. */
  readonly idleMs?: number;
  /** For one question, from its turn on. Default: as long as it takes. */
  readonly answerMs?: number;
  /** The thread is gone, and with it all that it was told. */
  readonly onEnd?: () => void;
}

interface Asked<Question, Answer> {
  readonly question: Question | (() => Question);
  done(answer: Answer): void;
  failed(error: unknown): void;
}

/** @param url of a module that posts one answer, with its `id`, for each message that has one; it starts with the first */
export function createThread<Question extends object, Answer extends Numbered>(
  url: URL,
  options: ThreadOptions = {},
): Thread<Question, Answer> {
  return new QuestionedThread(url, options);
}

class QuestionedThread<Question extends object, Answer extends Numbered> implements Thread<Question, Answer> {
  readonly #url: URL;
  readonly #options: ThreadOptions;
  readonly #waiting: Asked<Question, Answer>[] = [];
  /** What is with the thread. */
  #asked: Asked<Question, Answer> | undefined;
  #worker: Worker | undefined;
  /** Of the question, or of the rest after the last one. */
  #timer: NodeJS.Timeout | undefined;
  #lastId = 0;

  constructor(url: URL, options: ThreadOptions) {
    this.#url = url;
    this.#options = options;
  }

  ask(question: Question | (() => Question)): Promise<Answer> {
    return new Promise((done, failed) => {
      this.#waiting.push({ question, done, failed });
      if (this.#asked === undefined) this.#next();
    });
  }

  tell(message: object): void {
    this.#worker ??= this.#start();
    this.#worker.postMessage(message);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const open = [...(this.#asked === undefined ? [] : [this.#asked]), ...this.#waiting.splice(0)];
    this.#asked = undefined;
    for (const { failed } of open) failed(new Error('the server stops'));
    await this.#end();
  }

  #next(): void {
    clearTimeout(this.#timer);
    this.#asked = this.#waiting.shift();
    try {
      if (this.#asked === undefined) this.#rest();
      else this.#post(this.#asked.question);
    } catch (error) {
      this.#settle(({ failed }) => failed(error));
    }
  }

  #post(question: Question | (() => Question)): void {
    this.#worker ??= this.#start();
    this.#worker.ref();
    const asked = typeof question === 'function' ? question() : question;
    this.#lastId += 1;
    this.#worker.postMessage({ ...asked, id: this.#lastId });
    const { answerMs } = this.#options;
    if (answerMs === undefined) return;
    const late = () => this.#fail(new Error(`the thread did not answer within ${answerMs} ms`));
    this.#timer = setTimeout(late, answerMs);
  }

  #settle(act: (one: Asked<Question, Answer>) => void): void {
    if (this.#asked !== undefined) act(this.#asked);
    this.#next();
  }

  /** Whatever came over the thread came of the question that is with it. */
  #fail(error: Error): void {
    void this.#end();
    this.#settle(({ failed }) => failed(error));
  }

  /** Nothing is lost with a thread that rests, so it keeps no process alive. */
  #rest(): void {
    this.#worker?.unref();
    const { idleMs } = this.#options;
    if (idleMs !== undefined) this.#timer = setTimeout(() => void this.#end(), idleMs).unref();
  }

  #start(): Worker {
    const started = new Worker(this.#url);
    const over = (error: Error) => void (this.#worker === started && this.#fail(error));
    started.on('message', (answer: Answer) => {
      if (this.#worker === started && answer.id === this.#lastId) this.#settle(({ done }) => done(answer));
    });
    started.on('error', over);
    started.on('messageerror', over);
    started.on('exit', () => over(new Error('the thread has ended')));
    return started;
  }

  async #end(): Promise<void> {
    clearTimeout(this.#timer);
    const ended = this.#worker;
    if (ended === undefined) return;
    this.#worker = undefined;
    this.#options.onEnd?.();
    await ended.terminate();
  }
}
