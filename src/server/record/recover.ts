/** Opens the end of a log after whatever happened to it, and says what that was. */
import { stat, truncate, unlink } from 'node:fs/promises';
import { TouchmarkError } from '../../errors.js';
import { syncDirectory } from '../../host/atomic-file.js';
import { parseLine } from './line.js';
import { type ChainHead, GENESIS, type RecordedEvent } from './model.js';
import { ownEvents } from './names.js';
import { listSegments, readLines, type Segment } from './segments.js';

/** The newest line that the datastore knows to have been on disk. */
export interface RememberedHead extends ChainHead {
  readonly server: string;
}

export interface RecoveredLog {
  /** What the next line follows. */
  readonly head: ChainHead;
  /** The file that goes on; undefined: a new one begins. */
  readonly segment: { readonly path: string; readonly size: number } | undefined;
  readonly server: string | undefined;
  /** The newest commit of which there are events, and how many of them are there. */
  readonly revision: number;
  readonly eventsOfRevision: number;
  readonly sinceCheckpoint: number;
  /** A torn end that was cut off: nothing is lost with it, for it is written again. */
  readonly cut?: { readonly file: string; readonly bytes: number };
  /** What no crash explains. */
  readonly damage?: { readonly what: 'altered' | 'truncated' | 'unreadable'; readonly why: string };
}

/** Own events whose subject is the log itself. */
const naming: ReadonlySet<string> = new Set(['record_started', 'server_started', 'checkpoint']);

/** What reading the last segment gave. */
interface Tail {
  head: ChainHead;
  revision: number;
  eventsOfRevision: number;
  sinceCheckpoint: number;
  server: string | undefined;
  hashAtRemembered: string | undefined;
  /** The first line that is torn, or does not follow. */
  bad?: { readonly offset: number; readonly seq: number; readonly why: string };
  /** The last line of the file that can be read at all. */
  readable: ChainHead;
}

/**
 * Lines beyond the remembered one may be torn: every event in them is still in the datastore. What does not fit up to there was
 * done by a disk or a person: nothing of it is touched, a new segment begins behind it, and it is told.
 * @throws TouchmarkError `record_unreadable`
 */
export async function recoverLog(
  directory: string,
  remembered: RememberedHead | undefined,
): Promise<RecoveredLog> {
  const segments = await listSegments(directory);
  const last = segments.at(-1);
  if (last === undefined) return withoutFiles(remembered);
  const tail = await readTail(last, remembered);
  const confirmed = remembered?.seq ?? 0;
  if (tail.bad !== undefined && tail.bad.seq > confirmed) {
    return recoverCut(directory, last, tail.bad, remembered);
  }
  const state = stateOf(tail, remembered);
  if (tail.bad !== undefined) {
    const why = `line ${tail.bad.seq} in ${last.name} ${tail.bad.why}`;
    return {
      ...state,
      head: newer(tail.readable, remembered),
      segment: undefined,
      damage: { what: 'unreadable', why },
    };
  }
  if (tail.head.seq < confirmed) {
    const why = `it ends at line ${tail.head.seq}, and line ${confirmed} had been written`;
    return {
      ...state,
      head: remembered ?? tail.head,
      segment: undefined,
      damage: { what: 'truncated', why },
    };
  }
  const segment = { path: last.path, size: (await stat(last.path)).size };
  if (tail.hashAtRemembered !== undefined && tail.hashAtRemembered !== remembered?.hash) {
    const why = `line ${confirmed} is another one than was written`;
    return { ...state, head: tail.head, segment, damage: { what: 'altered', why } };
  }
  return { ...state, head: tail.head, segment };
}

/** Cuts the file at the line, or removes it when nothing is left, and looks again at what is the end then. */
async function recoverCut(
  directory: string,
  segment: Segment,
  bad: NonNullable<Tail['bad']>,
  remembered: RememberedHead | undefined,
): Promise<RecoveredLog> {
  const bytes = (await stat(segment.path)).size - bad.offset;
  if (bad.offset === 0) await unlink(segment.path);
  else await truncate(segment.path, bad.offset);
  await syncDirectory(directory);
  return { ...(await recoverLog(directory, remembered)), cut: { file: segment.name, bytes } };
}

/** A log that is gone is gone on with where it ended: the missing lines stay missing for every verification. */
function withoutFiles(remembered: RememberedHead | undefined): RecoveredLog {
  const nothing = { segment: undefined, revision: 0, eventsOfRevision: 0, sinceCheckpoint: 0 };
  if (remembered === undefined) return { ...nothing, head: GENESIS, server: undefined };
  const why = `it is gone, and line ${remembered.seq} had been written`;
  return { ...nothing, head: remembered, server: remembered.server, damage: { what: 'truncated', why } };
}

async function readTail(segment: Segment, remembered: RememberedHead | undefined): Promise<Tail> {
  const start = { seq: segment.firstSeq - 1, hash: '' };
  const tail: Tail = {
    ...{ head: start, readable: start, revision: 0, eventsOfRevision: 0, sinceCheckpoint: 0 },
    ...{ server: undefined, hashAtRemembered: undefined },
  };
  for await (const lines of readLines(segment.path)) {
    for (const { bytes, offset, whole } of lines) {
      const event = whole ? readable(bytes) : undefined;
      if (event !== undefined) tail.readable = { seq: event.seq, hash: event.hash };
      if (tail.bad !== undefined) continue;
      const follows =
        event?.seq === tail.head.seq + 1 && (tail.head.hash === '' || event.prev === tail.head.hash);
      const why = event === undefined ? 'is torn or was changed' : 'does not follow the one before it';
      if (event === undefined || !follows) tail.bad = { offset, seq: tail.head.seq + 1, why };
      else takeLine(tail, event, remembered);
    }
  }
  if (tail.head === start && tail.bad === undefined) {
    tail.bad = { offset: 0, seq: segment.firstSeq, why: 'is missing' };
  }
  return tail;
}

function takeLine(tail: Tail, event: RecordedEvent, remembered: RememberedHead | undefined): void {
  tail.head = { seq: event.seq, hash: event.hash };
  tail.sinceCheckpoint = event.name === 'checkpoint' ? 0 : tail.sinceCheckpoint + 1;
  if (event.storeRevision !== tail.revision) tail.eventsOfRevision = 0;
  tail.revision = event.storeRevision;
  if (!ownEvents.has(event.name)) tail.eventsOfRevision += 1;
  if (naming.has(event.name)) tail.server = event.subject;
  if (event.seq === remembered?.seq) tail.hashAtRemembered = event.hash;
}

function readable(bytes: Buffer): RecordedEvent | undefined {
  try {
    return parseLine(bytes);
  } catch (error) {
    if (error instanceof TouchmarkError) return undefined;
    throw error;
  }
}

function stateOf(tail: Tail, remembered: RememberedHead | undefined) {
  const { revision, eventsOfRevision, sinceCheckpoint } = tail;
  return { revision, eventsOfRevision, sinceCheckpoint, server: remembered?.server ?? tail.server };
}

function newer(a: ChainHead, b: ChainHead | undefined): ChainHead {
  return b !== undefined && b.seq > a.seq ? b : a;
}
