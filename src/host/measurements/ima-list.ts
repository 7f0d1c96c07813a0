import { type FileHandle, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { TouchmarkError } from '../../errors.js';
import type { LogView } from './view.js';

const CHUNK = 256 * 1024;
/** Best first. Since 6.10 the kernel shows a list for each bank, and the first name is a link to the second. */
const names = ['binary_runtime_measurements', 'binary_runtime_measurements_sha1'];
const otherBanks = ['sha256', 'sha384', 'sha512'].map((bank) => `binary_runtime_measurements_${bank}`);

/**
 * The kernel's list, kept open. It is a sequence that the kernel writes anew for each reader; one who goes on where he stopped
 * gets what was added and costs nothing for the rest, one who goes back makes the kernel count from the beginning.
 */
export class ImaList {
  readonly #directory: string;
  #file: Promise<FileHandle> | undefined;
  /** So far it is known to reach: a list never gets shorter. */
  #known = 0;

  constructor(securityfs: string) {
    this.#directory = join(securityfs, 'ima');
  }

  /** The list as it is when its end is first met. */
  view(): LogView {
    let pinned = Number.POSITIVE_INFINITY;
    return {
      read: (offset, length) =>
        this.#guarded(() => this.#read(offset, Math.max(0, Math.min(length, pinned - offset)))),
      end: async (offset) => {
        if (pinned === Number.POSITIVE_INFINITY) pinned = await this.#guarded(() => this.#end(offset));
        return pinned;
      },
    };
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    this.#known = 0;
    await file?.then(
      (open) => open.close(),
      () => {},
    );
  }

  async #guarded<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async #read(offset: number, length: number): Promise<Uint8Array> {
    const file = await this.#open();
    const buffer = Buffer.allocUnsafe(length);
    let size = 0;
    while (size < length) {
      const { bytesRead } = await file.read(buffer, size, length - size, offset + size);
      if (bytesRead === 0) break;
      size += bytesRead;
    }
    if (size > 0) this.#known = Math.max(this.#known, offset + size);
    return buffer.subarray(0, size);
  }

  async #end(offset: number): Promise<number> {
    const file = await this.#open();
    // Files of the kernel have no size.
    const { size } = await file.stat();
    if (size > 0) return size;
    const reached = offset <= this.#known || (await this.#read(offset - 1, 1)).length === 1;
    let end = reached ? offset : 0;
    for (;;) {
      const { length } = await this.#read(end, CHUNK);
      end += length;
      if (length < CHUNK) return end;
    }
  }

  /** A file that could not be opened or read is opened anew the next time. */
  #open(): Promise<FileHandle> {
    this.#file ??= openFirst(this.#directory);
    return this.#file;
  }
}

/** @throws TouchmarkError `log_unreadable` when the kernel shows lists of other banks only; what the file system says */
async function openFirst(directory: string, [name = '', ...others] = names): Promise<FileHandle> {
  try {
    return await open(join(directory, name), 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    if (others.length > 0) return openFirst(directory, others);
    throw (await ofOtherBank(directory)) ?? error;
  }
}

async function ofOtherBank(directory: string): Promise<TouchmarkError | undefined> {
  const listed: string[] = await readdir(directory).catch(() => []);
  const other = otherBanks.find((name) => listed.includes(name));
  if (other === undefined) return undefined;
  const message = `${directory} shows ${other}, and no list with SHA-1 template digests`;
  return new TouchmarkError('log_unreadable', message);
}
