/** Whether a directory's file system takes writes at present: quotas and reserved blocks included, so by trying. */
import { open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

const PROBE_FILE = 'space-probe.tmp';
const SLACK = 512 * 1024;
const CHUNK = 256 * 1024;

/** What LevelDB writes when it opens: its logs become a table, and a manifest and a new log begin. */
export async function bytesToReopen(directory: string): Promise<number> {
  let total = SLACK;
  for (const name of await readdir(directory)) {
    if (!name.endsWith('.log')) continue;
    total += await stat(join(directory, name)).then(
      (file) => file.size,
      () => 0,
    );
  }
  return total;
}

/**
 * Writes and removes that many bytes.
 * @returns undefined when they fit, otherwise the system's error
 */
export async function probeSpace(directory: string, bytes: number): Promise<Error | undefined> {
  const path = join(directory, PROBE_FILE);
  try {
    await using file = await open(path, 'w', 0o600);
    const chunk = Buffer.alloc(CHUNK, 0x5a);
    for (let written = 0; written < bytes; written += CHUNK) await file.writeFile(chunk);
    await file.sync();
    return undefined;
  } catch (error) {
    return error as Error;
  } finally {
    await removeProbe(directory).catch(() => {});
  }
}

/** Also for what a process that was killed while it tried has left. */
export async function removeProbe(directory: string): Promise<void> {
  await rm(join(directory, PROBE_FILE), { force: true });
}

/** The names that LevelDB and Node give to a full file system, an exhausted quota and a file size limit. */
export function saysFull(error: unknown): boolean {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const code = (at as { code?: unknown }).code;
    if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') return true;
    if (/No space left on device|[Qq]uota exceeded|File too large/.test(at.message)) return true;
  }
  return false;
}
