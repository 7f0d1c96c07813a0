import { createHash, type Hash } from 'node:crypto';
import { TouchmarkError } from '../../../errors.js';
import type { FoundFile } from './file-source.js';

const BLOCK = 512;
const MAX_NAME = 64 * 1024;
const HEAD = 64;
/** Types that hold no content of their own and are no file: symbolic links, devices, directories, pipes. */
const contentless = '23456';
/** Files that are remembered, since a hard link has the content of an earlier entry. */
const MAX_ENTRIES = 1_000_000;

interface Current {
  readonly name: Buffer;
  readonly mode: number;
  readonly hash: Hash;
  head: Buffer;
  /** Bytes of content and of padding that are still to come. */
  left: number;
  padding: number;
}

/**
 * Reads a tar archive (POSIX ustar, and GNU's long names, as packages of Debian are made) in pieces of any size, and gives
 * its regular files with their hashes. Nothing is kept but one block and one name, and no name is believed to lead anywhere.
 * @throws TouchmarkError `reference_source_invalid` for other formats and for what is cut off
 */
export class TarReader {
  readonly #seen = new Map<string, FoundFile>();
  #rest: Buffer = Buffer.alloc(0);
  #current: Current | undefined;
  #linked: FoundFile | undefined;
  /** Names that GNU entries gave for the next one. */
  #longName: Buffer | undefined;
  #longLink: Buffer | undefined;
  #collect: { left: number; padding: number; parts: Buffer[]; forName: boolean } | undefined;
  #ended = false;

  *push(chunk: Uint8Array): Generator<FoundFile> {
    let bytes: Buffer = Buffer.concat([this.#rest, chunk]);
    while (!this.#ended) {
      const before = bytes.length;
      if (this.#current) bytes = this.#content(this.#current, bytes);
      else if (this.#collect) bytes = this.#longEntry(this.#collect, bytes);
      else if (bytes.length >= BLOCK) bytes = this.#header(bytes);
      if (this.#current && this.#current.left === 0 && this.#current.padding === 0) {
        yield this.#remember(finished(this.#current));
        this.#current = undefined;
      } else if (this.#linked) {
        yield this.#remember(this.#linked);
        this.#linked = undefined;
      } else if (bytes.length === before) break;
    }
    this.#rest = this.#ended ? Buffer.alloc(0) : Buffer.from(bytes);
  }

  end(): void {
    if (!this.#ended) throw invalid('is cut off');
  }

  #remember(file: FoundFile): FoundFile {
    if (this.#seen.size >= MAX_ENTRIES) throw invalid(`has more than ${MAX_ENTRIES} files`);
    this.#seen.set(Buffer.from(file.path).toString('latin1'), file);
    return file;
  }

  #header(bytes: Buffer): Buffer {
    const block = bytes.subarray(0, BLOCK);
    const rest = bytes.subarray(BLOCK);
    if (block.every((byte) => byte === 0)) {
      this.#ended = true;
      return rest;
    }
    checkSum(block);
    const type = String.fromCharCode(block[156] || 0x30);
    const size = octal(block, 124, 12);
    const padding = (BLOCK - (size % BLOCK)) % BLOCK;
    if (type === 'L' || type === 'K') {
      if (size > MAX_NAME) throw invalid(`has a name of ${size} bytes`);
      this.#collect = { left: size, padding, parts: [], forName: type === 'L' };
      return rest;
    }
    const name = this.#longName ?? plainName(block);
    const link = this.#longLink ?? cString(block.subarray(157, 257));
    this.#longName = undefined;
    this.#longLink = undefined;
    if (contentless.includes(type)) return rest;
    if (type === '1') {
      const target = this.#seen.get(pathOf(link).toString('latin1'));
      if (!target) throw invalid('has a hard link to an entry that does not come before it');
      this.#linked = { ...target, path: pathOf(name) };
      return rest;
    }
    if (type !== '0' && type !== '7')
      throw invalid(`has an entry of type ${JSON.stringify(type)}, which is not read`);
    const mode = octal(block, 100, 8);
    this.#current = { name, mode, hash: createHash('sha256'), head: Buffer.alloc(0), left: size, padding };
    return rest;
  }

  #content(current: Current, bytes: Buffer): Buffer {
    const content = bytes.subarray(0, current.left);
    current.hash.update(content);
    if (current.head.length < HEAD)
      current.head = Buffer.concat([current.head, content.subarray(0, HEAD - current.head.length)]);
    current.left -= content.length;
    const skipped = Math.min(current.left === 0 ? current.padding : 0, bytes.length - content.length);
    current.padding -= skipped;
    return bytes.subarray(content.length + skipped);
  }

  #longEntry(
    entry: { left: number; padding: number; parts: Buffer[]; forName: boolean },
    bytes: Buffer,
  ): Buffer {
    const part = bytes.subarray(0, entry.left);
    entry.parts.push(Buffer.from(part));
    entry.left -= part.length;
    const skipped = Math.min(entry.left === 0 ? entry.padding : 0, bytes.length - part.length);
    entry.padding -= skipped;
    if (entry.left === 0 && entry.padding === 0) {
      const name = cString(Buffer.concat(entry.parts));
      if (entry.forName) this.#longName = name;
      else this.#longLink = name;
      this.#collect = undefined;
    }
    return bytes.subarray(part.length + skipped);
  }
}

function finished({ name, mode, hash, head }: Current): FoundFile {
  return { path: pathOf(name), mode, head, sha256: hash.digest() };
}

/** `./usr/bin/x` and `usr/bin/x` are `/usr/bin/x`. */
function pathOf(name: Buffer): Buffer {
  return Buffer.from(`/${name.toString('latin1').replace(/^(\.?\/+)+/, '')}`, 'latin1');
}

function plainName(block: Buffer): Buffer {
  const name = cString(block.subarray(0, 100));
  // GNU's own format has other things in the place of the prefix.
  const isPosix = block.toString('latin1', 257, 263) === 'ustar\0';
  const prefix = isPosix ? cString(block.subarray(345, 500)) : Buffer.alloc(0);
  return prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from('/'), name]);
}

function cString(bytes: Buffer): Buffer {
  const nul = bytes.indexOf(0);
  return Buffer.from(nul < 0 ? bytes : bytes.subarray(0, nul));
}

function octal(block: Buffer, at: number, size: number): number {
  const text = block
    .toString('latin1', at, at + size)
    .replace(/[\0 ]+$/, '')
    .trim();
  if (/^[0-7]{1,12}$/.test(text)) return Number.parseInt(text, 8);
  throw invalid(`has a number ${JSON.stringify(text)} that is not octal`);
}

/** The sum of the header's bytes, its own field counted as spaces. */
function checkSum(block: Buffer): void {
  let sum = 8 * 0x20;
  for (let at = 0; at < BLOCK; at++) if (at < 148 || at >= 156) sum += block[at] ?? 0;
  if (octal(block, 148, 8) !== sum) throw invalid('has a header whose sum is wrong');
}

function invalid(what: string): TouchmarkError {
  return new TouchmarkError('reference_source_invalid', `the archive ${what}`);
}
