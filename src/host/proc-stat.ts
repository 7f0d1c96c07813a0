import { closeSync, openSync, readSync } from 'node:fs';
import { TouchmarkError } from '../errors.js';

/** One page: what stands first in a file of /proc. Read in one go and copied out before anybody else may use it. */
const page = Buffer.alloc(16_384);

/**
 * When a process started, in clock ticks since boot. Synchronous, since it stands between two looks at the same process;
 * the kernel answers from memory.
 * @throws TouchmarkError `peer_gone`, `proc_unreadable`
 */
export function startTimeOf(pid: number): bigint {
  return parseStartTime(readProcNow(pid, 'stat'), pid);
}

/**
 * The first 16 KiB of a file of /proc, which the kernel makes up without touching a disk.
 * @throws TouchmarkError `peer_gone`, `proc_unreadable`
 */
export function readProcNow(pid: number, name: string): string {
  try {
    const fd = openSync(`/proc/${pid}/${name}`, 'r');
    try {
      return page.toString('latin1', 0, readSync(fd, page, 0, page.length, 0));
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw procError(error, pid, name);
  }
}

/** Field 22 of proc_pid_stat(5). The second field is the program's name and may hold spaces and parentheses. */
export function parseStartTime(stat: string, pid: number): bigint {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const startTime = fields[22 - 3];
  if (startTime === undefined || !/^\d{1,20}$/.test(startTime)) {
    throw new TouchmarkError('proc_unreadable', `/proc/${pid}/stat has no start time`);
  }
  return BigInt(startTime);
}

/** What a failed look at /proc means: the process ended, or we may not look. */
export function procError(cause: unknown, pid: number, name: string): TouchmarkError {
  if (cause instanceof TouchmarkError) return cause;
  const reason = (cause as NodeJS.ErrnoException).code;
  if (reason === 'ENOENT' || reason === 'ESRCH') {
    return new TouchmarkError('peer_gone', `process ${pid} ended while it was looked at`, { cause });
  }
  const message = `/proc/${pid}/${name} cannot be read (${reason ?? 'unknown reason'})`;
  return new TouchmarkError('proc_unreadable', message, { cause });
}
