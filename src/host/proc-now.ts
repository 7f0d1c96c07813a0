import { readlinkSync } from 'node:fs';
import { TouchmarkError } from '../errors.js';
import { procError, readProcNow } from './proc-stat.js';

/** What a process runs as now. real, effective, saved, file system. */
export interface ProcIdsNow {
  readonly uids: readonly [number, number, number, number];
  readonly gids: readonly [number, number, number, number];
}

/**
 * The ids in /proc/PID/status, for the path that every call takes: 10 us, where going through libuv's threads costs 100.
 * They stand before anything of variable length. @throws TouchmarkError `peer_gone`, `proc_unreadable`
 */
export function procIdsNow(pid: number): ProcIdsNow {
  const status = readProcNow(pid, 'status');
  return { uids: fourNumbers(status, 'Uid', pid), gids: fourNumbers(status, 'Gid', pid) };
}

/** /proc/PID/cgroup as it is written. @throws TouchmarkError `peer_gone`, `proc_unreadable` */
export function procCgroupNow(pid: number): string {
  return readProcNow(pid, 'cgroup');
}

/**
 * Where the executable lies, in the process's own mount namespace; ends in ` (deleted)` when that name is gone. The
 * link only: what it leads to may be on a file system that does not answer.
 * @throws TouchmarkError `peer_gone`, `proc_unreadable`
 */
export function executableLinkNow(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch (error) {
    throw procError(error, pid, 'exe');
  }
}

function fourNumbers(status: string, name: string, pid: number): [number, number, number, number] {
  const start = status.indexOf(`\n${name}:\t`);
  const end = status.indexOf('\n', start + 1);
  const words = start < 0 ? [] : status.slice(start + name.length + 3, end).split('\t');
  const [real, effective, saved, fileSystem] = words.map(idOf);
  if (real === undefined || effective === undefined || saved === undefined || fileSystem === undefined) {
    throw new TouchmarkError('proc_unreadable', `/proc/${pid}/status lists fewer than four ids`);
  }
  return [real, effective, saved, fileSystem];
}

function idOf(word: string): number | undefined {
  return /^\d{1,10}$/.test(word) ? Number(word) : undefined;
}
