import { unlink } from 'node:fs/promises';
import { syncDirectory } from '../../host/atomic-file.js';
import { parseLine } from './line.js';
import type { ChainHead } from './model.js';
import { writeRoot } from './root.js';
import { firstLine, listSegments, type Segment } from './segments.js';

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
  for (const next of segments.slice(1)) {
    const line = await firstLine(next.path);
    const first = line && parseLine(line);
    // Its first line is not older than any of the segment before it.
    if (first === undefined || first.at >= before) break;
    last = { seq: first.seq - 1, hash: first.prev };
    count += 1;
  }
  return last === undefined ? undefined : { segments: segments.slice(0, count), last };
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
