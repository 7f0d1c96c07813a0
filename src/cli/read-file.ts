import { open } from 'node:fs/promises';
import { messageOf, TouchmarkError } from '../errors.js';
import { readBounded } from '../host/atomic-file.js';

const MIB = 1024 * 1024;
/** The largest reference sets in any form are a fraction of it. */
const MAX_TEXT = 256 * MIB;

/** A whole file or what comes out of a pipe, bounded. @throws TouchmarkError `file_unreadable` */
export async function readInput(path: string, maxSize = 4 * MIB): Promise<Buffer> {
  try {
    const file = await open(path, 'r');
    try {
      return await readBounded(file, path, maxSize, (await file.stat()).size);
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

/** A whole file as text, or standard input for `-`. @throws TouchmarkError `file_unreadable` */
export async function readText(context: { readStdin(): Promise<string> }, path: string): Promise<string> {
  if (path !== '-') return (await readInput(path, MAX_TEXT)).toString('utf8');
  try {
    return await context.readStdin();
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

/** All of a stream as text, without a byte-order mark. @throws TouchmarkError `file_too_large` */
export async function readStream(
  stream: AsyncIterable<Uint8Array>,
  name: string,
  maxSize = MAX_TEXT,
): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    if (size > maxSize) throw new TouchmarkError('file_too_large', `${name} is larger than ${maxSize} bytes`);
    chunks.push(chunk);
  }
  return new TextDecoder().decode(Buffer.concat(chunks));
}

function unreadable(path: string, cause: unknown): TouchmarkError {
  return new TouchmarkError('file_unreadable', `cannot read ${path}: ${messageOf(cause)}`, { cause });
}
