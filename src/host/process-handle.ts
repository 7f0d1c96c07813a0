import { closeSync } from 'node:fs';
import { duplicate, ERRNO, pidfdEnded, pidfdOpen, SystemCallError } from '../../native/libc.js';
import { TouchmarkError } from '../errors.js';
import { watchReadable } from './watch-fd.js';

/** One running process, held by a pidfd: it cannot be mistaken for a later process with the same number. */
export interface ProcessHandle extends Disposable {
  readonly pid: number;
  /** The descriptor itself, valid until close(). */
  readonly pidfd: number;
  /** Whether it still runs; a zombie does not. One system call, no waiting. False once closed. */
  alive(): boolean;
  /** Calls once, soon after the process has ended (also if it has already). Costs no thread. Returns how to stop listening. */
  onExit(listener: () => void): () => void;
  close(): void;
}

/**
 * Holds whichever process has this number now.
 * @throws TouchmarkError `peer_gone`, `peer_unknown`
 */
export function openProcess(pid: number): ProcessHandle {
  try {
    return holdProcess(pid, pidfdOpen(pid));
  } catch (cause) {
    const missing = cause instanceof SystemCallError && cause.errno === ERRNO.ESRCH;
    if (missing) throw new TouchmarkError('peer_gone', `process ${pid} does not exist`, { cause });
    throw new TouchmarkError('peer_unknown', `process ${pid} cannot be held`, { cause });
  }
}

/** Takes over a pidfd. */
export function holdProcess(pid: number, pidfd: number): ProcessHandle {
  const listeners = new Set<() => void>();
  let open = true;
  let stopWatching: (() => void) | undefined;
  const ended = () => {
    stopWatching = undefined;
    for (const listener of [...listeners]) {
      listeners.delete(listener);
      listener();
    }
  };
  const close = () => {
    if (!open) return;
    open = false;
    listeners.clear();
    stopWatching?.();
    closeSync(pidfd);
  };
  return {
    pid,
    pidfd,
    alive: () => open && !pidfdEnded(pidfd),
    onExit(listener) {
      if (!open) throw new TouchmarkError('peer_gone', `process ${pid} is no longer held`);
      // One entry per call, so that the same function given twice is called twice.
      const entry = () => listener();
      listeners.add(entry);
      stopWatching ??= watchReadable(duplicate(pidfd), ended);
      return () => listeners.delete(entry);
    },
    close,
    [Symbol.dispose]: close,
  };
}
