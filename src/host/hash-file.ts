import type { BigIntStats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { TouchmarkError } from '../errors.js';
import { statTellsContent } from './fixed-content.js';
import { refused, tooLarge } from './hash-errors.js';
import { hashThread } from './hash-thread.js';
import { foreignFiles } from './slow-calls.js';

/**
 * SHA-256 of opened files, off the event loop, remembered for as long as the file does not change. Where a change might
 * not show in the file's times, nothing is remembered.
 */
export interface FileHasher extends AsyncDisposable {
  /**
   * @param file stays open until the promise settles; its position does not matter
   * @param user on whose behalf: users take turns
   * @returns lower-case hexadecimal digits
   * @throws TouchmarkError `hash_refused` (not a regular file, too large, too slow), `hash_changed`, `file_system_hangs`
   */
  sha256(file: FileHandle, user: number): Promise<string>;
  /** The digest of a file that looks so, if it is remembered: spares opening it. */
  known(stats: BigIntStats): string | undefined;
  /** Files remembered now. */
  readonly cached: number;
}

export interface FileHasherOptions {
  /** Default 1024. */
  maxEntries?: number;
  /** Default 512 MiB. */
  maxBytes?: number;
  /** For one file, from when its turn comes; default 30 s. */
  timeoutMs?: number;
  /** Unix milliseconds; default Date.now. */
  now?: () => number;
}

export function createFileHasher(options: FileHasherOptions = {}): FileHasher {
  const { maxEntries = 1024, maxBytes = 512 * 1024 * 1024, timeoutMs = 30_000, now = Date.now } = options;
  const known = new Map<string, string>();
  const running = new Map<string, Promise<string>>();
  const pool = hashThread(timeoutMs);

  async function compute(file: FileHandle, key: string, user: number): Promise<string> {
    const sha256 = await pool.hash(file.fd, maxBytes, user);
    // What was hashed is one state of the file only if that state is still there.
    if (keyOf(await statOf(file, user)) !== key) throw changed();
    return sha256;
  }

  function computeOnce(file: FileHandle, key: string, user: number): Promise<string> {
    // Shared with nobody whose turn may be far away.
    const mine = `${user}/${key}`;
    const shared = running.get(mine);
    if (shared !== undefined) return shared;
    const started = compute(file, key, user)
      .then((sha256) => {
        remember(known, maxEntries, key, sha256);
        return sha256;
      })
      .finally(() => running.delete(mine));
    running.set(mine, started);
    return started;
  }

  function lookUp(stats: BigIntStats): string | undefined {
    const key = keyOf(stats);
    const found = known.get(key);
    if (found !== undefined) remember(known, maxEntries, key, found);
    return found;
  }
  return {
    get cached() {
      return known.size;
    },
    async sha256(file, user) {
      const stats = await statOf(file, user);
      checkFile(stats, maxBytes);
      const found = lookUp(stats);
      if (found !== undefined) return found;
      const fixed = await foreignFiles.run(user, () =>
        statTellsContent(stats, `/proc/self/fd/${file.fd}`, now()),
      );
      return fixed ? computeOnce(file, keyOf(stats), user) : compute(file, keyOf(stats), user);
    },
    known: lookUp,
    [Symbol.asyncDispose]: () => pool.close(),
  };
}

function statOf(file: FileHandle, user: number): Promise<BigIntStats> {
  return foreignFiles.run(user, () => file.stat({ bigint: true }));
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

function changed(): TouchmarkError {
  return new TouchmarkError('hash_changed', 'the file changed while it was hashed');
}
