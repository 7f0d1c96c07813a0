import type { BigIntStats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import type { Worker } from 'node:worker_threads';
import { TouchmarkError } from '../errors.js';
import { type HashAnswer, startHashWorker } from './hash-worker.js';

/** SHA-256 of opened files, off the event loop, remembered for as long as the file does not change. */
export interface FileHasher extends AsyncDisposable {
  /**
   * @param file stays open until the promise settles; its position does not matter
   * @returns lower-case hexadecimal digits
   * @throws TouchmarkError `hash_refused` (not a regular file, too large, too slow), `hash_changed`
   */
  sha256(file: FileHandle): Promise<string>;
  /** Files remembered now. */
  readonly cached: number;
}

export interface FileHasherOptions {
  /** Default 1024. */
  maxEntries?: number;
  /** Default 512 MiB. */
  maxBytes?: number;
  /** For one file, waiting included; default 30 s. */
  timeoutMs?: number;
}

interface Waiting {
  done(answer: HashAnswer): void;
  failed(error: Error): void;
}

/** A thread costs some megabytes: it ends when nothing was hashed for so long. */
const IDLE_MS = 10_000;
/** Threads that hang in a read and cannot be ended until it returns. */
const MAX_HUNG = 4;

export function createFileHasher(options: FileHasherOptions = {}): FileHasher {
  const { maxEntries = 1024, maxBytes = 512 * 1024 * 1024, timeoutMs = 30_000 } = options;
  const known = new Map<string, string>();
  const running = new Map<string, Promise<string>>();
  const pool = workerPool(timeoutMs);

  async function compute(file: FileHandle, key: string): Promise<string> {
    const sha256 = await pool.hash(file.fd, maxBytes);
    // What was hashed is one state of the file only if that state is still there.
    if (keyOf(await file.stat({ bigint: true })) !== key) throw changed();
    remember(known, maxEntries, key, sha256);
    return sha256;
  }
  return {
    get cached() {
      return known.size;
    },
    async sha256(file) {
      const stats = await file.stat({ bigint: true });
      checkFile(stats, maxBytes);
      const key = keyOf(stats);
      const found = known.get(key);
      if (found !== undefined) {
        remember(known, maxEntries, key, found);
        return found;
      }
      const shared = running.get(key);
      if (shared !== undefined) return shared;
      const started = compute(file, key).finally(() => running.delete(key));
      running.set(key, started);
      return started;
    },
    [Symbol.asyncDispose]: () => pool.close(),
  };
}

/** Nanoseconds: a change within one second is a change. ctime cannot be set back by whoever owns the file. */
function keyOf({ dev, ino, ctimeNs, mtimeNs, size }: BigIntStats): string {
  return `${dev}:${ino}:${ctimeNs}:${mtimeNs}:${size}`;
}

function checkFile(stats: BigIntStats, maxBytes: number): void {
  if (!stats.isFile()) throw refused('only regular files are hashed');
  if (stats.size > BigInt(maxBytes)) throw tooLarge(maxBytes);
}

/** Keeps the most recently used ones: a Map remembers the order in which keys were set. */
function remember(known: Map<string, string>, most: number, key: string, value: string): void {
  known.delete(key);
  known.set(key, value);
  for (const oldest of known.keys()) {
    if (known.size <= most) return;
    known.delete(oldest);
  }
}

interface Pool {
  hash(fd: number, maxBytes: number): Promise<string>;
  close(): Promise<void>;
}

/** One thread, replaced when it hangs. */
function workerPool(timeoutMs: number): Pool {
  const waiting = new Map<number, Waiting>();
  let worker: Worker | undefined;
  let hung = 0;
  let lastId = 0;
  let idle: NodeJS.Timeout | undefined;

  function start(): Worker {
    const started = startHashWorker();
    started.on('message', (answer: HashAnswer) => waiting.get(answer.id)?.done(answer));
    started.on('error', (error: Error) => drop(error));
    return started;
  }
  /** Ends the thread and fails what waits for it: a request behind a hanging one would hang too. */
  function drop(error: Error): void {
    const dropped = worker;
    worker = undefined;
    hung += 1;
    dropped?.removeAllListeners('error').on('error', () => {});
    Promise.resolve(dropped?.terminate()).finally(() => {
      hung -= 1;
    });
    for (const { failed } of [...waiting.values()]) failed(error);
  }
  function rest(): Promise<unknown> {
    clearTimeout(idle);
    const resting = worker;
    worker = undefined;
    return Promise.resolve(resting?.terminate());
  }
  return {
    hash(fd, maxBytes) {
      clearTimeout(idle);
      if (hung >= MAX_HUNG) return Promise.reject(refused(`${hung} earlier files still do not answer`));
      worker ??= start();
      const thread = worker;
      lastId += 1;
      const id = lastId;
      const answered = new Promise<HashAnswer>((done, failed) => waiting.set(id, { done, failed }));
      const timer = setTimeout(() => drop(refused(`hashing took longer than ${timeoutMs} ms`)), timeoutMs);
      thread.postMessage({ id, fd, maxBytes });
      return answered
        .finally(() => {
          clearTimeout(timer);
          waiting.delete(id);
          if (waiting.size === 0) idle = setTimeout(rest, IDLE_MS).unref();
        })
        .then((answer) => digestOf(answer, maxBytes));
    },
    async close() {
      for (const { failed } of [...waiting.values()]) failed(refused('hashing was stopped'));
      await rest();
    },
  };
}

function digestOf(answer: HashAnswer, maxBytes: number): string {
  if ('sha256' in answer) return answer.sha256;
  if ('tooLarge' in answer) throw tooLarge(maxBytes);
  throw new TouchmarkError('hash_refused', 'the file cannot be read', { detail: { reason: answer.error } });
}

function tooLarge(maxBytes: number): TouchmarkError {
  return refused(`the file is larger than ${maxBytes} bytes`);
}

function refused(message: string): TouchmarkError {
  return new TouchmarkError('hash_refused', message);
}

function changed(): TouchmarkError {
  return new TouchmarkError('hash_changed', 'the file changed while it was hashed');
}
