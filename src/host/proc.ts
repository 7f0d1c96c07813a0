import { open } from 'node:fs/promises';
import { TouchmarkError } from '../errors.js';
import { readBounded } from './atomic-file.js';
import { procError } from './proc-stat.js';

/** Enough for status with 65 536 groups. */
const MAX_PROC_FILE = 1_048_576;

export interface ProcIds {
  /** real, effective, saved, file system */
  uids: readonly [number, number, number, number];
  gids: readonly [number, number, number, number];
  groups: readonly number[];
  /** 0 when nobody traces it. Whoever does can act as the process. */
  tracerPid: number;
  /** Its number in each pid namespace from ours inwards. */
  namespacePids: readonly number[];
}

/** /proc/PID/status. Numbers are as in our own user namespace. @throws TouchmarkError `peer_gone`, `proc_unreadable` */
export async function readProcIds(pid: number): Promise<ProcIds> {
  const status = await readProcFile(pid, 'status');
  const numbers = (name: string) => statusNumbers(status, name, pid);
  return {
    uids: four(numbers('Uid'), pid),
    gids: four(numbers('Gid'), pid),
    groups: numbers('Groups'),
    tracerPid: numbers('TracerPid')[0] ?? 0,
    namespacePids: numbers('NSpid'),
  };
}

async function readProcFile(pid: number, name: string): Promise<string> {
  try {
    const file = await open(`/proc/${pid}/${name}`, 'r');
    try {
      return (await readBounded(file, `/proc/${pid}/${name}`, MAX_PROC_FILE)).toString('utf8');
    } finally {
      await file.close();
    }
  } catch (error) {
    throw procError(error, pid, name);
  }
}

/** A line `Name:<tab>1 2 3`. The program's own name stands on another line and cannot hold a line break. */
function statusNumbers(status: string, name: string, pid: number): number[] {
  const line = status.split('\n').find((one) => one.startsWith(`${name}:`));
  if (line === undefined) throw malformed(pid, `has no ${name} line`);
  const words = line
    .slice(name.length + 1)
    .trim()
    .split(/\s+/)
    .filter((word) => word !== '');
  if (words.some((word) => !/^\d{1,10}$/.test(word)))
    throw malformed(pid, `has a ${name} line that is no numbers`);
  return words.map(Number);
}

function four(numbers: readonly number[], pid: number): [number, number, number, number] {
  const [real, effective, saved, fileSystem] = numbers;
  if (real === undefined || effective === undefined || saved === undefined || fileSystem === undefined) {
    throw malformed(pid, 'lists fewer than four ids');
  }
  return [real, effective, saved, fileSystem];
}

function malformed(pid: number, what: string): TouchmarkError {
  return new TouchmarkError('proc_unreadable', `/proc/${pid}/status ${what}`);
}
