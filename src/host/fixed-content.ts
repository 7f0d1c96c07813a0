import type { BigIntStats } from 'node:fs';
import { statfs } from 'node:fs/promises';

/**
 * File systems that move a file's times whenever its content changes, through mappings too. tmpfs does not: a page that
 * was read through a writable mapping before is then changed without a trace. Of others we do not know.
 */
const honest: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // xfs
  0x9123683e, // btrfs
  0xf2f52010, // f2fs
  0x73717368, // squashfs: read-only
  0xe0f5e1e2, // erofs: read-only
]);

/** The kernel's clock for file times is coarse: two changes within one of its ticks look like one. */
const SETTLED_MS = 2_000;

/**
 * Whether (device, inode, times, size) will tell apart any two contents of this file, so that something computed from the
 * content may be remembered under them. A file that only root can write always passes, since root is believed anyway.
 * @param path leads to that very file, such as /proc/self/fd/N
 */
export async function statTellsContent(stats: BigIntStats, path: string, now: number): Promise<boolean> {
  const onlyRootWrites = stats.uid === 0n && (stats.mode & 0o022n) === 0n;
  if (onlyRootWrites) return true;
  if (Number(stats.ctimeMs) > now - SETTLED_MS) return false;
  const { type } = await statfs(path);
  return honest.has(type);
}
