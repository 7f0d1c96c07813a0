import { type FileHandle, open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { TouchmarkError } from '../../errors.js';

const CHUNK = 64 * 1024;
const ATTEMPTS = 4;
const PAUSE_MS = 20;
/** systemd's sign on its log that a PCR is extended whose record is not written yet. */
const STICKY = 0o1000;
const DIRTY_ATTEMPTS = 25;

/**
 * A file of the kernel, read to its end in one go, and once more: some drivers give garbage to whoever reads in pieces, and the
 * file says nothing of its size.
 * @throws TouchmarkError `log_unreadable` when it is too large or never the same twice; what the file system says
 */
export async function readTwice(path: string, most: number): Promise<Buffer> {
  let before = await readOnce(path, most);
  for (let attempt = 1; attempt < ATTEMPTS; attempt += 1) {
    const now = await readOnce(path, most);
    if (now.equals(before)) return now;
    before = now;
    await sleep(PAUSE_MS);
  }
  throw new TouchmarkError('log_unreadable', `${path} read differently each of ${ATTEMPTS} times`);
}

/**
 * systemd's log, waiting for half a second while a measurement is on its way: its PCR is extended before the record is written, so
 * a quote may cover what the log does not show yet.
 */
export async function readUserspaceLog(path: string, most: number): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    for (let attempt = 1; attempt < DIRTY_ATTEMPTS; attempt += 1) {
      const { mode } = await file.stat();
      if ((mode & STICKY) === 0) break;
      await sleep(PAUSE_MS);
    }
    return await readFrom(file, path, most);
  } finally {
    await file.close();
  }
}

async function readOnce(path: string, most: number): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    return await readFrom(file, path, most);
  } finally {
    await file.close();
  }
}

async function readFrom(file: FileHandle, path: string, most: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for (let size = 0; ; ) {
    const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(CHUNK), 0, CHUNK, size);
    if (bytesRead === 0) return Buffer.concat(chunks, size);
    chunks.push(buffer.subarray(0, bytesRead));
    size += bytesRead;
    if (size > most)
      throw new TouchmarkError(
        'log_unreadable',
        `${path} has more than ${most} bytes, which no such log has`,
      );
  }
}
