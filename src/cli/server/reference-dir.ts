import { createHash } from 'node:crypto';
import { constants, type Dirent } from 'node:fs';
import { type FileHandle, open, readdir, realpath } from 'node:fs/promises';
import { relative, resolve } from 'node:path';
import { messageOf, TouchmarkError } from '../../errors.js';
import type { FoundFile } from '../../measure/policy/reference-sources/file-source.js';
import { MAX_FILES, tooManyFiles } from '../../measure/policy/reference-sources/reference-set.js';

type Wanted = (file: Pick<FoundFile, 'path' | 'mode' | 'head'>) => boolean;

const HEAD = 64;
const CHUNK = 1024 * 1024;
const SLASH = Buffer.from('/');

/**
 * The regular files below a directory that are wanted, with their hashes. Symbolic links are not followed, so nothing
 * outside is read; files are read in pieces, one after the other.
 * @param root what is `/` on the hosts. @throws TouchmarkError `file_unreadable`, `reference_source_too_large`
 */
export async function filesBelow(
  directory: string,
  root: string,
  wanted: Wanted,
  signal: AbortSignal,
): Promise<FoundFile[]> {
  const [top, base] = [await real(directory), await real(root)];
  const below = relative(base, top);
  if (below.startsWith('..'))
    throw new TouchmarkError('flag_invalid', `${directory} is not below -root ${root}`);
  const files: FoundFile[] = [];
  // One for all files: a buffer for each would cost more than the hashing.
  const buffer = Buffer.allocUnsafe(CHUNK);
  const pending = [{ on: Buffer.from(top), as: Buffer.from(below === '' ? '' : `/${below}`) }];
  for (let next = pending.pop(); next; next = pending.pop()) {
    for (const entry of await entries(next.on)) {
      signal.throwIfAborted();
      const on = Buffer.concat([next.on, SLASH, entry.name]);
      const as = Buffer.concat([next.as, SLASH, entry.name]);
      if (entry.isDirectory()) pending.push({ on, as });
      const file = entry.isFile() ? await readOne(on, as, wanted, buffer) : undefined;
      if (file && files.push(file) > MAX_FILES) throw tooManyFiles(directory);
    }
  }
  return files;
}

async function readOne(
  on: Buffer,
  path: Buffer,
  wanted: Wanted,
  buffer: Buffer,
): Promise<FoundFile | undefined> {
  try {
    // Between listing and opening the name may have become something else.
    const handle = await open(on, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const stat = await handle.stat();
      return stat.isFile() ? await hashed(handle, path, stat.mode & 0o7777, wanted, buffer) : undefined;
    } finally {
      await handle.close();
    }
  } catch (cause) {
    throw unreadable(on.toString(), cause);
  }
}

async function hashed(
  handle: FileHandle,
  path: Buffer,
  mode: number,
  wanted: Wanted,
  buffer: Buffer,
): Promise<FoundFile | undefined> {
  let { bytesRead } = await handle.read(buffer, 0, CHUNK, 0);
  const head = Buffer.from(buffer.subarray(0, Math.min(bytesRead, HEAD)));
  if (!wanted({ path, mode, head })) return undefined;
  const hash = createHash('sha256');
  for (let at = 0; bytesRead > 0; ) {
    hash.update(buffer.subarray(0, bytesRead));
    at += bytesRead;
    ({ bytesRead } = await handle.read(buffer, 0, CHUNK, at));
  }
  return { path, mode, head, sha256: hash.digest() };
}

async function entries(directory: Buffer): Promise<Dirent<Buffer>[]> {
  try {
    return await readdir(directory, { withFileTypes: true, encoding: 'buffer' });
  } catch (cause) {
    throw unreadable(directory.toString(), cause);
  }
}

async function real(path: string): Promise<string> {
  try {
    return await realpath(resolve(path));
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

function unreadable(path: string, cause: unknown): TouchmarkError {
  return new TouchmarkError('file_unreadable', `cannot read ${path}: ${messageOf(cause)}`, { cause });
}
