import type { Worker } from 'node:worker_threads';
import { refused, tooLarge } from './hash-errors.js';
import { type HashAnswer, startHashWorker } from './hash-worker.js';

/** One thread that hashes; replaced when it hangs, ended when it has nothing to do. */
export interface HashThread {
  /** SHA-256 of an open descriptor, as hexadecimal digits. @throws TouchmarkError `hash_refused` */
  hash(fd: number, maxBytes: number): Promise<string>;
  close(): Promise<void>;
}

interface Waiting {
  done(answer: HashAnswer): void;
  failed(error: Error): void;
}

interface State {
  worker: Worker | undefined;
  readonly waiting: Map<number, Waiting>;
  /** Threads that hang in a read and cannot be ended until it returns. */
  hung: number;
  lastId: number;
  idle: NodeJS.Timeout | undefined;
}

const MAX_HUNG = 4;
/** A thread costs some megabytes: it ends when nothing was hashed for so long. */
const IDLE_MS = 10_000;

/** @param timeoutMs for one file, waiting included */
export function hashThread(timeoutMs: number): HashThread {
  const state: State = { worker: undefined, waiting: new Map(), hung: 0, lastId: 0, idle: undefined };
  return {
    async hash(fd, maxBytes) {
      if (state.hung >= MAX_HUNG) throw refused(`${state.hung} earlier files still do not answer`);
      return digestOf(await request(state, fd, maxBytes, timeoutMs), maxBytes);
    },
    async close() {
      for (const { failed } of [...state.waiting.values()]) failed(refused('hashing was stopped'));
      await rest(state);
    },
  };
}

async function request(state: State, fd: number, maxBytes: number, timeoutMs: number): Promise<HashAnswer> {
  clearTimeout(state.idle);
  state.worker ??= start(state);
  state.lastId += 1;
  const id = state.lastId;
  const answered = new Promise<HashAnswer>((done, failed) => state.waiting.set(id, { done, failed }));
  const late = () => drop(state, refused(`hashing took longer than ${timeoutMs} ms`));
  const timer = setTimeout(late, timeoutMs);
  state.worker.postMessage({ id, fd, maxBytes });
  try {
    return await answered;
  } finally {
    clearTimeout(timer);
    state.waiting.delete(id);
    if (state.waiting.size === 0) state.idle = setTimeout(() => rest(state), IDLE_MS).unref();
  }
}

function start(state: State): Worker {
  const worker = startHashWorker();
  worker.on('message', (answer: HashAnswer) => state.waiting.get(answer.id)?.done(answer));
  worker.on('error', (error: Error) => drop(state, error));
  return worker;
}

/** Ends the thread and fails what waits for it: a request behind a hanging one would hang too. */
function drop(state: State, error: Error): void {
  const dropped = state.worker;
  state.worker = undefined;
  state.hung += 1;
  const over = () => {
    state.hung -= 1;
  };
  dropped?.removeAllListeners('error').on('error', () => {});
  Promise.resolve(dropped?.terminate()).then(over, over);
  for (const { failed } of [...state.waiting.values()]) failed(error);
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
