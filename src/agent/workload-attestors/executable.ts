import type { BigIntStats } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { TouchmarkError } from '../../errors.js';
import type { FileHasher } from '../../host/hash-file.js';
import { executableLinkNow } from '../../host/proc-now.js';
import { procError } from '../../host/proc-stat.js';
import { foreignFiles } from '../../host/slow-calls.js';
import type { Workload, WorkloadAttestor } from './contract.js';

/**
 * `unix:path`. The name is the caller's own view, and a caller may build itself a mount namespace in which any file has
 * any name: it counts only when it leads to the very file that runs in the agent's own namespace, too. Says which file
 * runs, not with which arguments, libraries or environment.
 */
export function pathAttestor(): WorkloadAttestor {
  return {
    name: 'unix:path',
    async attest({ pid, uid }) {
      const link = executableLinkNow(pid);
      const [running, named] = await Promise.all([
        statExecutable({ pid, uid }),
        foreignFiles.run(uid, () => stat(link, exact).catch(() => undefined)),
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
    attest: async (workload) => [
      { type: 'unix', value: `sha256:${await executableDigest(workload, hasher)}` },
    ],
  };
}

/**
 * SHA-256 of the file that a process runs, also when it was deleted since. A file that is already known by its device,
 * inode, times and size is not opened again.
 * @throws TouchmarkError `peer_gone`, `hash_refused`, `hash_changed`, `file_system_hangs`
 */
export async function executableDigest(workload: Executing, hasher: FileHasher): Promise<string> {
  const known = hasher.known(await statExecutable(workload));
  return known ?? withExecutable(workload, (file) => hasher.sha256(file, workload.uid));
}

const exact = { bigint: true } as const;

/** A process whose program is looked at, and the user to whom the looking is counted. */
type Executing = Pick<Workload, 'pid' | 'uid'>;

/** On libuv's threads: the file may lie on a file system that is slow to answer. */
async function statExecutable({ pid, uid }: Executing): Promise<BigIntStats> {
  try {
    return await foreignFiles.run(uid, () => stat(`/proc/${pid}/exe`, exact));
  } catch (error) {
    throw procError(error, pid, 'exe');
  }
}

/** Opens the file itself, which its name may no longer lead to. */
export async function withExecutable<T>(
  { pid, uid }: Executing,
  work: (file: FileHandle) => Promise<T>,
): Promise<T> {
  await using file = await opened(pid, uid);
  return await work(file);
}

async function opened(pid: number, uid: number): Promise<FileHandle> {
  let opening: Promise<FileHandle> | undefined;
  try {
    return await foreignFiles.run(uid, () => {
      opening = open(`/proc/${pid}/exe`, 'r');
      return opening;
    });
  } catch (error) {
    // A file that opens after all is nobody's.
    opening?.then((late) => late.close()).catch(() => {});
    throw procError(error, pid, 'exe');
  }
}
