import type { Worker } from 'node:worker_threads';
import { FairQueue } from './fair-queue.js';
import { refused, tooLarge } from './hash-errors.js';
import { type HashAnswer, startHashWorker } from './hash-worker.js';

/** One thread that hashes; replaced when it hangs, ended when it has nothing to do. */
export interface HashThread {
  /**
   * SHA-256 of an open descriptor, as hexadecimal digits. Users take turns, so that nobody waits for all files of another.
   * @throws TouchmarkError `hash_refused`
   */
  hash(fd: number, maxBytes: number, user: number): Promise<string>;
  close(): Promise<void>;
}

interface Job {
  readonly user: number;
  readonly fd: number;
  readonly maxBytes: number;
  done(answer: HashAnswer): void;
  failed(error: Error): void;
}

interface State {
  readonly timeoutMs: number;
  worker: Worker | undefined;
  readonly queue: FairQueue<Job>;
  running: { readonly id: number; readonly job: Job; readonly timer: NodeJS.Timeout } | undefined;
  /** Whose files made threads hang that cannot be ended until a read returns; one for each thread. */
  readonly hung: number[];
  lastId: number;
  idle: NodeJS.Timeout | undefined;
}

const MAX_HUNG = 4;
const MOST_WAITING_OF_ONE = 256;
/** A thread costs some megabytes: it ends when nothing was hashed for so long. */
const IDLE_MS = 10_000;

/** @param timeoutMs for one file, from when its turn comes */
export function hashThread(timeoutMs: number): HashThread {
  const queue = new FairQueue<Job>(MOST_WAITING_OF_ONE);
  const state: State = {
    ...{ timeoutMs, worker: undefined, queue, running: undefined, hung: [], lastId: 0, idle: undefined },
  };
  return {
    async hash(fd, maxBytes, user) {
      const answer = await new Promise<HashAnswer>((done, failed) => {
        const added = queue.add(user, { user, fd, maxBytes, done, failed });
        if (added) takeTurn(state);
        else failed(refused(`user ${user} has ${MOST_WAITING_OF_ONE} files waiting`));
      });
      return digestOf(answer, maxBytes);
    },
    async close() {
      const stopped = refused('hashing was stopped');
      finish(state)?.failed(stopped);
      for (let job = queue.next(); job !== undefined; job = queue.next()) job.failed(stopped);
      await rest(state);
    },
  };
}

function takeTurn(state: State): void {
  clearTimeout(state.idle);
  while (state.running === undefined) {
    const job = state.queue.next();
    if (job === undefined) {
      state.idle = setTimeout(() => rest(state), IDLE_MS).unref();
      return;
    }
    const hanging = whyNot(state, job);
    if (hanging === undefined) begin(state, job);
    else job.failed(refused(hanging));
  }
}

function whyNot({ hung }: State, { user }: Job): string | undefined {
  if (hung.includes(user)) return `an earlier file of user ${user} still does not answer`;
  return hung.length >= MAX_HUNG ? `${hung.length} earlier files still do not answer` : undefined;
}

function begin(state: State, job: Job): void {
  const { timeoutMs } = state;
  state.worker ??= start(state);
  state.lastId += 1;
  const id = state.lastId;
  const timer = setTimeout(() => drop(state, refused(`hashing took longer than ${timeoutMs} ms`)), timeoutMs);
  state.running = { id, job, timer };
  state.worker.postMessage({ id, fd: job.fd, maxBytes: job.maxBytes });
}

/** @returns the job that was under way */
function finish(state: State): Job | undefined {
  const { running } = state;
  state.running = undefined;
  clearTimeout(running?.timer);
  return running?.job;
}

function start(state: State): Worker {
  const worker = startHashWorker();
  worker.on('message', (answer: HashAnswer) => {
    if (answer.id !== state.running?.id) return;
    finish(state)?.done(answer);
    takeTurn(state);
  });
  worker.on('error', (error: Error) => drop(state, error));
  return worker;
}

/** Ends the thread and fails what it was at; the next turn gets another one. */
function drop(state: State, error: Error): void {
  const dropped = state.worker;
  const job = finish(state);
  state.worker = undefined;
  const { user = -1 } = job ?? {};
  state.hung.push(user);
  const over = () => {
    state.hung.splice(state.hung.indexOf(user), 1);
  };
  dropped?.removeAllListeners('error').on('error', () => {});
  Promise.resolve(dropped?.terminate()).then(over, over);
  job?.failed(error);
  takeTurn(state);
}

async function rest(state: State): Promise<void> {
  clearTimeout(state.idle);
  const resting = state.worker;
  state.worker = undefined;
  await resting?.terminate();
}

function digestOf(answer: HashAnswer, maxBytes: number): string {
  if ('sha256' in answer) return answer.sha256;
  if ('tooLarge' in answer) throw tooLarge(maxBytes);
  throw refused('the file cannot be read', { reason: answer.error });
}
