import { type FileHandle, open, unlink } from 'node:fs/promises';
import { syncDirectory } from '../../host/atomic-file.js';
import { segmentPath } from './segments.js';

/** The file that grows. */
export interface LogWriter extends AsyncDisposable {
  /** Bytes of the file so far. */
  readonly size: number;
  /** When it resolves, the lines are on disk; when it rejects, none of them is in the file, or the next call removes them. */
  append(lines: readonly Buffer[]): Promise<void>;
}

const LINE_FEED = Buffer.from('\n');

/** Goes on with a file. */
export async function resumeWriter(path: string, size: number): Promise<LogWriter> {
  return writerOf(await open(path, 'r+', 0o600), size);
}

/** Begins one; it is empty, and its name survives a power cut. */
export async function beginWriter(
  directory: string,
  firstSeq: number,
  sync: (directory: string) => Promise<void> = syncDirectory,
): Promise<LogWriter> {
  const path = segmentPath(directory, firstSeq);
  const file = await open(path, 'wx', 0o600);
  try {
    await sync(directory);
    return writerOf(file, 0);
  } catch (error) {
    // It is begun again, under the same name.
    await file.close();
    await unlink(path);
    throw error;
  }
}

function writerOf(file: FileHandle, length: number): LogWriter {
  let size = length;
  let torn = false;
  return {
    get size() {
      return size;
    },
    async append(lines) {
      if (torn) await file.truncate(size);
      torn = true;
      const bytes = Buffer.concat(lines.flatMap((line) => [line, LINE_FEED]));
      for (let at = 0; at < bytes.length; ) {
        at += (await file.write(bytes, at, bytes.length - at, size + at)).bytesWritten;
      }
      await file.datasync();
      size += bytes.length;
      torn = false;
    },
    [Symbol.asyncDispose]: () => file.close(),
  };
}
