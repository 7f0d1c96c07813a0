import { TouchmarkError } from '../../errors.js';
import { peerOf } from '../../host/peer.js';
import { readProcIds } from '../../host/proc.js';
import { openProcess } from '../../host/process-handle.js';
import type { Workload } from '../workload-attestors/contract.js';

/** Who is at the other end of a connection to one of the agent's sockets: what the kernel says, never what the caller says. */
export interface WorkloadCaller {
  readonly workload: Workload;
}

/** Runs on the accepted descriptor, before a byte is read from it. Who gets the result closes its process. */
export function callerOf(fd: number): WorkloadCaller {
  return { workload: peerOf(fd) };
}

/** Any process of this host, for an operator who asks about it; its ids are those that it runs with now. */
export async function workloadOfPid(pid: number): Promise<Workload> {
  const process = openProcess(pid);
  try {
    const ids = await readProcIds(pid);
    if (!process.alive()) throw new TouchmarkError('peer_gone', `process ${pid} has ended`);
    return { pid, uid: ids.uids[1], gid: ids.gids[1], groups: ids.groups, process };
  } catch (error) {
    process.close();
    throw error;
  }
}
