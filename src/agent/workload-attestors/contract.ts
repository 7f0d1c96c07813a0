import type { ProcessHandle } from '../../host/process-handle.js';
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

/** One source of selectors. */
export interface WorkloadAttestor {
  readonly name: string;
  /**
   * Throws a TouchmarkError when there are no selectors to give; the other attestors' selectors still count. With one
   * of `nothingToTell` that is a fact about the process, with any other code this attestor failed.
   */
  attest(workload: Workload, signal: AbortSignal): Promise<Selector[]>;
  /** Calls when what it found out of a workload may no longer hold. Returns how to stop listening. */
  watch?(found: readonly Selector[], listener: () => void): () => void;
}

/** Why an attestor that works has no selectors for a process. */
export const nothingToTell = ['unit_unknown', 'executable_path_untrusted', 'executable_in_memory'] as const;
