import { TouchmarkError } from '../../errors.js';
import { parseLine } from './line.js';
import type { ChainHead, RecordedEvent } from './model.js';
import { type RawLine, readLines, type Segment } from './segments.js';

/** Where a line lies. */
export interface Place {
  readonly file: string;
  /** Bytes from the beginning of the file. */
  readonly offset: number;
  /** The line that should be there. */
  readonly seq: number;
}

/**
 * Reads lines in order and checks that each has its hash and follows the one before it. Establishes that nothing between
 * `head` and the last line was changed, moved or removed by somebody who could not also rewrite all that follows; who wrote it is
 * for checkpoints to say.
 * @param until the last line to read: what follows is still being written
 * @returns the last line
 * @throws TouchmarkError `record_line_invalid`, `record_chain_broken`, `record_unreadable`; `detail` is a Place
 */
export async function walkLines(
  segments: readonly Segment[],
  head: ChainHead,
  visit: (event: RecordedEvent, place: Place) => void,
  until = Number.POSITIVE_INFINITY,
): Promise<ChainHead> {
  let last = head;
  for (const segment of segments) {
    if (last.seq >= until) break;
    if (segment.firstSeq !== last.seq + 1) {
      const why = `begins with line ${segment.firstSeq}, where line ${last.seq + 1} follows`;
      throw broken({ file: segment.name, offset: 0, seq: last.seq + 1 }, why);
    }
    for await (const lines of readLines(segment.path)) {
      for (const line of lines) {
        if (last.seq >= until) return { seq: last.seq, hash: last.hash };
        const place: Place = { file: segment.name, offset: line.offset, seq: last.seq + 1 };
        const event = readNext(line, last, place);
        visit(event, place);
        last = event;
      }
    }
  }
  return { seq: last.seq, hash: last.hash };
}

function readNext(line: RawLine, before: ChainHead, place: Place): RecordedEvent {
  if (!line.whole) throw broken(place, 'ends in the middle of a line');
  const event = located(place, () => parseLine(line.bytes));
  if (event.seq !== before.seq + 1) throw broken(place, `has line ${event.seq} there`);
  if (event.prev !== before.hash) throw broken(place, 'has a line there that follows another one');
  return event;
}

/** Adds the place to what is thrown. */
export function located<T>(place: Place, task: () => T): T {
  try {
    return task();
  } catch (error) {
    if (!(error instanceof TouchmarkError)) throw error;
    throw new TouchmarkError(error.code, `${where(place)}: ${error.message}`, {
      cause: error,
      detail: { ...place },
    });
  }
}

function broken(place: Place, why: string): TouchmarkError {
  return new TouchmarkError('record_chain_broken', `${where(place)}: the record ${why}`, {
    detail: { ...place },
  });
}

function where({ file, offset, seq }: Place): string {
  return `${file}, byte ${offset}, line ${seq}`;
}
