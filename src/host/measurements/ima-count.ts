import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';

/** The kernel's own count of its list, on an open file: asked several times a second, it costs one read. */
export class ImaCount {
  readonly #path: string;
  readonly #buffer = Buffer.alloc(32);
  #file: FileHandle | undefined;
  #reading: Promise<number | undefined> | undefined;

  constructor(securityfs: string) {
    this.#path = join(securityfs, 'ima', 'runtime_measurements_count');
  }

  /** undefined where the kernel keeps no list, or does not let us see it. Callers at the same time share one read. */
  read(): Promise<number | undefined> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  async #read(): Promise<number | undefined> {
    try {
      this.#file ??= await open(this.#path, 'r');
      const { bytesRead } = await this.#file.read(this.#buffer, 0, this.#buffer.length, 0);
      const text = this.#buffer.toString('latin1', 0, bytesRead).trim();
      return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
    } catch {
      await this.close();
      return undefined;
    }
  }
}
