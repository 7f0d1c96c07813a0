import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { TouchmarkError } from '../errors.js';

export interface AtomicWriteOptions {
  /** Exact mode, whatever the umask; default 0600. Nobody else can open the file at any moment. */
  mode?: number;
}

/**
 * Replaces a file in one step: readers, and whoever looks after a power cut, find the old content or the new, whole.
 * When it returns, the new content is on disk.
 */
export async function writeFileAtomic(
  path: string,
  content: Uint8Array | string,
  { mode = 0o600 }: AtomicWriteOptions = {},
): Promise<void> {
  const directory = dirname(path);
  const temporary = join(directory, `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
  // 'wx': a link that somebody put there is not followed.
  const file = await open(temporary, 'wx', 0o600);
  try {
    await fill(file, content, mode);
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw error;
  }
  await syncDirectory(directory);
}

async function fill(file: FileHandle, content: Uint8Array | string, mode: number): Promise<void> {
  try {
    await file.writeFile(content);
    await file.chmod(mode);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes a rename or a new file in a directory survive a power cut. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/**
 * Reads a regular file of at most `maxBytes`; undefined when there is none.
 * @throws TouchmarkError `file_too_large`; what node:fs throws otherwise
 */
export async function readFileBounded(path: string, maxBytes: number): Promise<Buffer | undefined> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return await readBounded(file, path, maxBytes);
  } finally {
    await file.close();
  }
}

/**
 * Reads to the end, one byte further than allowed at most: sizes that stat gives are not believed (in /proc they are 0).
 * @param expected bytes that are asked for at once, so that what large files hold is not copied
 */
export async function readBounded(
  file: FileHandle,
  name: string,
  maxBytes: number,
  expected = 0,
): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let total = 0; ; ) {
    const wanted = Math.min(Math.max(65_536, expected - total), maxBytes + 1 - total);
    const { bytesRead, buffer } = await file.read(Buffer.alloc(wanted), 0, wanted, null);
    if (bytesRead === 0) return parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts);
    total += bytesRead;
    if (total > maxBytes) {
      throw new TouchmarkError('file_too_large', `${name} is larger than ${maxBytes} bytes`);
    }
    parts.push(buffer.subarray(0, bytesRead));
  }
}
