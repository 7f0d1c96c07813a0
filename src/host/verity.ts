import { type FileHandle, statfs } from 'node:fs/promises';
import { measureVerity } from '../../native/verity.js';

/** File systems of this kernel that know fs-verity. Others are not asked: one that a program serves may never answer. */
const withVerity: ReadonlySet<number> = new Set([
  0xef53, // ext4
  0x9123683e, // btrfs
  0xf2f52010, // f2fs
]);

/** `sha256:<hex>` of an open file that is under fs-verity, otherwise undefined. Says nothing about who put it there. */
export async function verityDigestOf(file: FileHandle): Promise<string | undefined> {
  const { type } = await statfs(`/proc/self/fd/${file.fd}`);
  if (!withVerity.has(type)) return undefined;
  const found = await measureVerity(file.fd);
  return found && `${found.algorithm}:${Buffer.from(found.digest).toString('hex')}`;
}
