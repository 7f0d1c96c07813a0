import { unlink } from 'node:fs/promises';
import { syncDirectory } from '../../host/atomic-file.js';
import { parseLine } from './line.js';
import type { ChainHead } from './model.js';
import { writeRoot } from './root.js';
import { firstLine, listSegments, readLines, type Segment } from './segments.js';

export interface Prunable {
  readonly segments: readonly Segment[];
  /** The last line that goes. */
  readonly last: ChainHead;
}

/**
 * Whole segments whose lines are all older than `before`, beginning with the oldest; never the one that grows.
 * @param before Unix milliseconds
 */
export async function prunable(directory: string, before: number): Promise<Prunable | undefined> {
  const segments = await listSegments(directory);
  let last: ChainHead | undefined;
  let count = 0;
  for (const [index, segment] of segments.slice(0, -1).entries()) {
    const line = await firstLine(segments[index + 1]?.path ?? '');
    const next = line && parseLine(line);
    if (next === undefined || next.at >= before || (await newestIn(segment)) >= before) break;
    last = { seq: next.seq - 1, hash: next.prev };
    count += 1;
  }
  return last === undefined ? undefined : { segments: segments.slice(0, count), last };
}

/** Unix milliseconds. Not by its last line: where the clock was set back, it stands before others. */
async function newestIn({ path }: Segment): Promise<number> {
  let newest = 0;
  for await (const lines of readLines(path)) {
    for (const { bytes } of lines) newest = Math.max(newest, parseLine(bytes).at);
  }
  return newest;
}

/** The root comes first: a crash in between leaves segments that are older than it, and the next start removes them. */
export async function prune(directory: string, { segments }: Prunable, root: string): Promise<void> {
  await writeRoot(directory, root);
  for (const { path } of segments) await unlink(path);
  await syncDirectory(directory);
}

/** What a crash left below the root. */
export async function pruneLeftovers(directory: string, root: ChainHead): Promise<void> {
  const segments = await listSegments(directory);
  for (const [index, { path }] of segments.entries()) {
    const next = segments[index + 1];
    if (next !== undefined && next.firstSeq <= root.seq + 1) await unlink(path);
  }
}
