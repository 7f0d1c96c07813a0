import type { ProcessHandle } from './process-handle.js';

/**
 * Who connected to a Unix socket, as the kernel recorded it at connect time. Says nothing about who holds the
 * descriptor now, nor what the process has executed since.
 */
export interface Peer {
  pid: number;
  uid: number;
  gid: number;
  /** Supplementary groups at connect time, without the primary one unless the kernel listed it. */
  groups: readonly number[];
  /** Clock ticks between boot and the start of the process: /proc/PID/stat field 22. */
  startTime: bigint;
  /** The process itself, immune to reuse of its number. The owner of the connection closes it. */
  process: ProcessHandle;
}
