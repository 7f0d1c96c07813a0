/** One running process, held by a pidfd: it cannot be mistaken for a later process with the same number. */
export interface ProcessHandle extends Disposable {
  readonly pid: number;
  /** The descriptor itself, valid until close(). */
  readonly pidfd: number;
  /** Whether it still runs; a zombie does not. One system call, no waiting. */
  alive(): boolean;
  /** Calls once, soon after the process has ended (at once if it has already). Costs no thread. Returns how to stop listening. */
  onExit(listener: () => void): () => void;
  close(): void;
}
