/** The files of the log: `events/<first seq, 16 digits>.jsonl`, each a run of lines. */
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, TouchmarkError } from '../../errors.js';
import { limits } from './model.js';

export interface Segment {
  readonly path: string;
  readonly name: string;
  /** Of its first line, by its name. */
  readonly firstSeq: number;
}

export interface RawLine {
  /** Without its line feed. */
  readonly bytes: Buffer;
  /** Where it begins in its file. */
  readonly offset: number;
  /** False: the file ends, or the line grows too long, before a line feed. */
  readonly whole: boolean;
}

const NAME = /^(\d{16})\.jsonl$/;
const LINE_FEED = 0x0a;
const CHUNK = 256 * 1024;

export function segmentPath(directory: string, firstSeq: number): string {
  return join(directory, `${String(firstSeq).padStart(16, '0')}.jsonl`);
}

/** In order; files of other names are passed over. @throws TouchmarkError `record_unreadable` */
export async function listSegments(directory: string): Promise<Segment[]> {
  const names = await readdir(directory).catch((cause: unknown) => {
    throw unreadable(directory, cause);
  });
  return names
    .filter((name) => NAME.test(name))
    .sort()
    .map((name) => ({ name, path: join(directory, name), firstSeq: Number(NAME.exec(name)?.[1]) }));
}

/** Piece by piece, so that other work goes on in between; what is held is one piece and one line. */
export async function* readLines(path: string): AsyncGenerator<RawLine[], void, undefined> {
  let rest = Buffer.alloc(0);
  let offset = 0;
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: CHUNK })) {
      const bytes = Buffer.concat([rest, chunk as Buffer]);
      const { lines, used } = split(bytes, offset);
      if (lines.length > 0) yield lines;
      rest = bytes.subarray(used);
      offset += used;
      if (rest.length > limits.readLine) break;
    }
  } catch (cause) {
    throw unreadable(path, cause);
  }
  if (rest.length > 0) yield [{ bytes: rest, offset, whole: false }];
}

function split(bytes: Buffer, offset: number): { lines: RawLine[]; used: number } {
  const lines: RawLine[] = [];
  let used = 0;
  for (let end = bytes.indexOf(LINE_FEED); end >= 0; end = bytes.indexOf(LINE_FEED, used)) {
    lines.push({ bytes: bytes.subarray(used, end), offset: offset + used, whole: true });
    used = end + 1;
  }
  return { lines, used };
}

/** The first line of a file, or undefined where it has no whole one. */
export async function firstLine(path: string): Promise<Buffer | undefined> {
  for await (const [line] of readLines(path)) return line?.whole === true ? line.bytes : undefined;
  return undefined;
}

function unreadable(path: string, cause: unknown): TouchmarkError {
  return new TouchmarkError('record_unreadable', `cannot read ${path}: ${messageOf(cause)}`, { cause });
}
