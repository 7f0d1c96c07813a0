import { TouchmarkError } from '../../errors.js';
import type { EventPage, EventQuery } from './contract.js';
import { parseLine } from './line.js';
import type { RecordedEvent } from './model.js';
import { firstLine, listSegments, readLines, type Segment } from './segments.js';

/** Lines that one call looks at: a filter that nothing fits must not read years at once. */
const MAX_SCANNED = 50_000;

interface Scan {
  readonly query: EventQuery;
  readonly events: RecordedEvent[];
  scanned: number;
  unreadable: number;
  /** The line that was looked at last. */
  at: number;
  full: boolean;
}

/**
 * Events in the order of the log, or the newest first. Lines whose hash is wrong are counted and left out.
 * @param newest the newest line that is on disk
 */
export async function listEvents(directory: string, query: EventQuery, newest: number): Promise<EventPage> {
  const segments = await wanted(await listSegments(directory), query);
  const scan: Scan = { query, events: [], scanned: 0, unreadable: 0, at: 0, full: false };
  for (const segment of query.newestFirst ? segments.reverse() : segments) {
    if (query.newestFirst) await scanBackwards(scan, segment, newest);
    else await scanForwards(scan, segment, newest);
    if (scan.full) break;
  }
  const { events, unreadable } = scan;
  return { events, unreadable, next: scan.full && scan.at > 1 ? scan.at : 0 };
}

/** By their names, and for `since` by the time of the line with which the next one begins. */
async function wanted(
  segments: readonly Segment[],
  { from, newestFirst, since }: EventQuery,
): Promise<Segment[]> {
  const kept: Segment[] = [];
  for (const [index, segment] of segments.entries()) {
    const next = segments[index + 1];
    if (newestFirst ? from > 0 && segment.firstSeq >= from : next !== undefined && next.firstSeq <= from + 1)
      continue;
    if (since > 0 && next !== undefined && (await timeOfFirst(next)) < since) continue;
    kept.push(segment);
  }
  return kept;
}

async function timeOfFirst(segment: Segment): Promise<number> {
  const line = await firstLine(segment.path);
  return (line && readable(line)?.at) ?? Number.POSITIVE_INFINITY;
}

async function scanForwards(scan: Scan, segment: Segment, newest: number): Promise<void> {
  for await (const lines of readLines(segment.path)) {
    for (const { bytes, whole } of lines) {
      if (!whole || scan.full) return;
      const event = readable(bytes);
      if (event === undefined) scan.unreadable += 1;
      else if (event.seq > newest) return;
      else if (event.seq > scan.query.from) look(scan, event);
    }
  }
}

/** A segment is read forwards and turned: it has a bounded size. */
async function scanBackwards(scan: Scan, segment: Segment, newest: number): Promise<void> {
  const { from } = scan.query;
  const events: RecordedEvent[] = [];
  for await (const lines of readLines(segment.path)) {
    for (const { bytes, whole } of lines) {
      const event = whole ? readable(bytes) : undefined;
      if (event === undefined) scan.unreadable += whole ? 1 : 0;
      else if (event.seq <= newest && (from === 0 || event.seq < from)) events.push(event);
    }
  }
  for (const event of events.reverse()) {
    if (scan.full) return;
    look(scan, event);
  }
}

function look(scan: Scan, event: RecordedEvent): void {
  const { names, subject, since, limit } = scan.query;
  scan.at = event.seq;
  scan.scanned += 1;
  const named = names.length === 0 || names.includes(event.name);
  const about = subject === '' || event.subject === subject || event.fields['host'] === subject;
  if (named && about && event.at >= since) scan.events.push(event);
  scan.full = scan.events.length >= limit || scan.scanned >= MAX_SCANNED;
}

function readable(bytes: Buffer): RecordedEvent | undefined {
  try {
    return parseLine(bytes);
  } catch (error) {
    if (error instanceof TouchmarkError) return undefined;
    throw error;
  }
}
