import { forbidDumps, isDumpable } from '../../native/libc.js';

/**
 * Keeps this process's memory, which holds keys, from core dumps and from other processes of the same user (ptrace, /proc/PID/mem).
 * Root can still read it. Returns whether the kernel agreed.
 */
export function protectMemory(): boolean {
  forbidDumps();
  return !isDumpable();
}
