import { ERRNO, peerCredentials, peerGroups, peerPidfd, SystemCallError } from '../../native/libc.js';
import { TouchmarkError } from '../errors.js';
import { startTimeOf } from './proc-stat.js';
import { holdProcess, openProcess, type ProcessHandle } from './process-handle.js';

/**
 * Who connected to a Unix socket, as the kernel recorded it at connect time. Says nothing about who holds the
 * descriptor now, nor what the process has executed since.
 */
export interface Peer {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups at connect time, without the primary one unless the kernel listed it. */
  readonly groups: readonly number[];
  /** Clock ticks between boot and the start of the process: /proc/PID/stat field 22. */
  readonly startTime: bigint;
  /** The process itself, immune to reuse of its number. The owner of the connection closes it. */
  readonly process: ProcessHandle;
}

/**
 * The process at the other end of an accepted Unix socket. Before Linux 6.5 the process is opened by its number, so one that
 * connected and ended before this call can then be taken for a new process of that number; from 6.5 on it cannot.
 * @param fd of the accepted socket
 * @throws TouchmarkError `peer_unknown`, `peer_other_namespace`, `peer_gone`
 */
export function peerOf(fd: number): Peer {
  const { pid, uid, gid } = read(fd, 'credentials', peerCredentials);
  if (pid === 0) {
    throw new TouchmarkError('peer_other_namespace', 'the caller lives in a pid namespace that is not ours');
  }
  const groups = read(fd, 'groups', peerGroups);
  const process = holdPeer(fd, pid);
  try {
    const startTime = startTimeOf(pid);
    // Read while it ran, therefore its own: the number cannot have passed to another process meanwhile.
    if (!process.alive()) throw gone(pid);
    return { pid, uid, gid, groups, startTime, process };
  } catch (error) {
    process.close();
    throw error;
  }
}

const endedErrnos: readonly number[] = [ERRNO.ESRCH, ERRNO.EINVAL, ERRNO.ENODATA];

function holdPeer(fd: number, pid: number): ProcessHandle {
  const pidfd = read(fd, 'process', (socket) => {
    try {
      return peerPidfd(socket);
    } catch (error) {
      // Kernels differ in what they say of a process that ended before it was asked for.
      if (error instanceof SystemCallError && endedErrnos.includes(error.errno)) throw gone(pid);
      throw error;
    }
  });
  return pidfd === undefined ? openProcess(pid) : holdProcess(pid, pidfd);
}

function read<T>(fd: number, what: string, from: (fd: number) => T): T {
  try {
    return from(fd);
  } catch (cause) {
    if (cause instanceof TouchmarkError) throw cause;
    const message = `the caller's ${what} cannot be read from its socket`;
    throw new TouchmarkError('peer_unknown', message, { cause });
  }
}

function gone(pid: number): TouchmarkError {
  return new TouchmarkError('peer_gone', `process ${pid} ended while it was looked at`);
}
