/** How much work the patterns of reference sets may come to: each star makes a file one that has to be searched for. */
import type { FileReference } from './model.js';

/** Characters of all patterns with stars that one policy comes to: thousands of them, in a few megabytes when made ready. */
export const MAX_STARRED = 256 * 1024;

const known = new WeakMap<readonly FileReference[], number>();

/** Characters of the paths that hold a star. Lists are never changed, so each is counted once. */
export function starredLength(files: readonly FileReference[]): number {
  const found = known.get(files);
  if (found !== undefined) return found;
  const length = files.reduce((sum, { path }) => (path.includes('*') ? sum + path.length : sum), 0);
  known.set(files, length);
  return length;
}
