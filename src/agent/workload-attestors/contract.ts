import type { ProcessHandle } from '../../host/peer.js';
import type { Selector } from '../../spiffe/selector.js';

/** The process that connected: ids from the socket, the process itself held so that its pid cannot be reused. */
export interface Workload {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups, from the socket. */
  readonly groups: readonly number[];
  readonly process: ProcessHandle;
}

/** One source of selectors. Throws a TouchmarkError when it cannot tell; the others' selectors still count. */
export interface WorkloadAttestor {
  readonly name: string;
  attest(workload: Workload, signal: AbortSignal): Promise<Selector[]>;
}
