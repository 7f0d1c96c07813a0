import { asBuffer } from '../as-buffer.js';
/**
 * Bytes that came in pieces and were not used yet. Pieces are joined only when as many bytes are there as were asked
 * for, so that a record in a thousand pieces is copied once.
 */
export class ByteQueue {
  #pieces: Uint8Array[] = [];
  #head: Buffer = Buffer.alloc(0);
  #offset = 0;
  #total = 0;

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#pieces.push(chunk);
    this.#total += chunk.length;
  }

  /** Bytes that were not taken. */
  get length(): number {
    return this.#total;
  }

  /** The buffer whose bytes from `offset` on are not used yet, `size` of them at least; undefined if not there. */
  peek(size: number): Buffer | undefined {
    if (size > this.#total) return undefined;
    if (this.#head.length - this.#offset < size) this.#join();
    return this.#head;
  }

  get offset(): number {
    return this.#offset;
  }

  skip(size: number): void {
    this.#offset += size;
    this.#total -= size;
  }

  #join(): void {
    const rest = this.#head.subarray(this.#offset);
    const [only] = this.#pieces;
    const whole = rest.length === 0 && this.#pieces.length === 1 && only;
    this.#head = whole ? asBuffer(whole) : Buffer.concat([rest, ...this.#pieces]);
    this.#pieces = [];
    this.#offset = 0;
  }
}
