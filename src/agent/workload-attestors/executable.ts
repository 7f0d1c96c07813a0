import type { BigIntStats } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { TouchmarkError } from '../../errors.js';
import type { FileHasher } from '../../host/hash-file.js';
import { executableLinkNow } from '../../host/proc-now.js';
import { procError } from '../../host/proc-stat.js';
import type { WorkloadAttestor } from './contract.js';

/**
 * `unix:path`. The name is the caller's own view, and a caller may build itself a mount namespace in which any file has
 * any name: it counts only when it leads to the very file that runs in the agent's own namespace, too. Says which file
 * runs, not with which arguments, libraries or environment.
 */
export function pathAttestor(): WorkloadAttestor {
  return {
    name: 'unix:path',
    async attest({ pid }) {
      const link = executableLinkNow(pid);
      const [running, named] = await Promise.all([
        statExecutable(pid),
        stat(link, exact).catch(() => undefined),
      ]);
      if (named?.dev === running.dev && named.ino === running.ino)
        return [{ type: 'unix', value: `path:${link}` }];
      const message = `process ${pid} does not run the file that this host has at ${link}`;
      throw new TouchmarkError('executable_path_untrusted', message);
    },
  };
}

/** `unix:sha256` of the file that runs, wherever its name leads by now. */
export function digestAttestor(hasher: FileHasher): WorkloadAttestor {
  return {
    name: 'unix:sha256',
    attest: async ({ pid }) => [{ type: 'unix', value: `sha256:${await executableDigest(pid, hasher)}` }],
  };
}

/**
 * SHA-256 of the file that a process runs, also when it was deleted since. A file that is already known by its device,
 * inode, times and size is not opened again. @throws TouchmarkError `peer_gone`, `hash_refused`, `hash_changed`
 */
export async function executableDigest(pid: number, hasher: FileHasher): Promise<string> {
  return hasher.known(await statExecutable(pid)) ?? withExecutable(pid, (file) => hasher.sha256(file));
}

const exact = { bigint: true } as const;

/** On libuv's threads: the file may lie on a file system that is slow to answer. */
async function statExecutable(pid: number): Promise<BigIntStats> {
  try {
    return await stat(`/proc/${pid}/exe`, exact);
  } catch (error) {
    throw procError(error, pid, 'exe');
  }
}

/** Opens the file itself, which its name may no longer lead to. */
export async function withExecutable<T>(pid: number, work: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await open(`/proc/${pid}/exe`, 'r').catch((error: unknown) => {
    throw procError(error, pid, 'exe');
  });
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}
