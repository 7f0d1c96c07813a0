import { closeSync } from 'node:fs';
import { lastErrno, memory, type NativeLibrary, openLibrary } from './library.js';

const signatures = {
  getsockopt: ['i32', 'i32', 'i32', 'pointer', 'pointer'],
  syscall: ['long', 'long', 'long', 'long'],
  poll: ['pointer', 'long', 'i32'],
  fcntl: ['i32', 'i32', 'long'],
  flock: ['i32', 'i32'],
  prctl: ['i32', 'long', 'long', 'long', 'long'],
  socket: ['i32', 'i32', 'i32'],
  adjtimex: ['pointer'],
  sendto: ['i32', 'pointer', 'size', 'i32', 'pointer', 'u32'],
} as const;

let loaded: NativeLibrary<typeof signatures> | undefined;

function libc(): NativeLibrary<typeof signatures> {
  loaded ??= openLibrary('libc.so.6', 'int', signatures, 'libc6');
  return loaded;
}

/** A failed system call: `errno` as the kernel numbers it. */
export class SystemCallError extends Error {
  override readonly name = 'SystemCallError';
  readonly errno: number;

  constructor(call: string, errno: number) {
    super(`${call} failed with errno ${errno}`);
    this.errno = errno;
  }
}

export const ERRNO = {
  ESRCH: 3,
  EINTR: 4,
  EAGAIN: 11,
  EINVAL: 22,
  ERANGE: 34,
  ENODATA: 61,
  ENOPROTOOPT: 92,
} as const;

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SO_PEERGROUPS = 59;
const SO_PEERPIDFD = 77;
const MAX_GROUPS = 65_536;

function checked(call: string, result: number): number {
  if (result < 0) throw new SystemCallError(call, lastErrno());
  return result;
}

/** Reads a socket option into `target`; returns the length that the kernel wrote. */
function socketOption(fd: number, option: number, name: string, target: Buffer, size: number): number {
  const length = memory(4);
  length.writeUInt32LE(size);
  checked(name, libc().now('getsockopt', fd, SOL_SOCKET, option, target, length));
  return length.readUInt32LE(0);
}

/** Who connected (unix(7), SO_PEERCRED): ids at connect time. pid 0 is a process in another pid namespace. */
export function peerCredentials(fd: number): { pid: number; uid: number; gid: number } {
  const value = memory(12);
  socketOption(fd, SO_PEERCRED, 'SO_PEERCRED', value, 12);
  return { pid: value.readInt32LE(0), uid: value.readUInt32LE(4), gid: value.readUInt32LE(8) };
}

/** Supplementary groups at connect time (SO_PEERGROUPS). */
export function peerGroups(fd: number): number[] {
  for (let room = 64; ; room = MAX_GROUPS) {
    const value = memory(room * 4);
    try {
      const length = socketOption(fd, SO_PEERGROUPS, 'SO_PEERGROUPS', value, room * 4);
      const count = Math.min(room, Math.floor(length / 4));
      return Array.from({ length: count }, (_, at) => value.readUInt32LE(at * 4));
    } catch (error) {
      const tooMany = error instanceof SystemCallError && error.errno === ERRNO.ERANGE;
      if (!tooMany || room === MAX_GROUPS) throw error;
    }
  }
}

/** A pidfd of exactly the process that connected (SO_PEERPIDFD, Linux 6.5); undefined where the kernel lacks it. */
export function peerPidfd(fd: number): number | undefined {
  const value = memory(4);
  try {
    socketOption(fd, SO_PEERPIDFD, 'SO_PEERPIDFD', value, 4);
    return value.readInt32LE(0);
  } catch (error) {
    if (error instanceof SystemCallError && error.errno === ERRNO.ENOPROTOOPT) return undefined;
    throw error;
  }
}

/** pidfd_open(2): whoever has this number now. The descriptor is closed on exec. */
export function pidfdOpen(pid: number): number {
  const PIDFD_OPEN = 434;
  return checked('pidfd_open', libc().now('syscall', PIDFD_OPEN, pid, 0, 0));
}

/** Whether the process behind a pidfd has ended: a pidfd is readable from then on. Never waits. */
export function pidfdEnded(pidfd: number): boolean {
  const POLLIN = 1;
  const entry = memory(8);
  entry.writeInt32LE(pidfd, 0);
  entry.writeInt16LE(POLLIN, 4);
  for (;;) {
    const ready = libc().now('poll', entry, 1, 0);
    // A signal that arrives meanwhile is no answer, although nothing is waited for.
    if (ready >= 0 || lastErrno() !== ERRNO.EINTR) return checked('poll', ready) > 0;
  }
}

/** A second descriptor for the same thing, closed on exec. */
export function duplicate(fd: number): number {
  const F_DUPFD_CLOEXEC = 1030;
  return checked('fcntl', libc().now('fcntl', fd, F_DUPFD_CLOEXEC, 3));
}

/** Keeps an inherited descriptor from the programs that we start. */
export function closeOnExec(fd: number): void {
  const F_SETFD = 2;
  const FD_CLOEXEC = 1;
  checked('fcntl', libc().now('fcntl', fd, F_SETFD, FD_CLOEXEC));
}

/** flock(2), exclusive, without waiting. It ends with the last descriptor of this opening, so with the process. */
export function tryLock(fd: number): boolean {
  const LOCK_EX_NB = 6;
  if (libc().now('flock', fd, LOCK_EX_NB) === 0) return true;
  const errno = lastErrno();
  if (errno === ERRNO.EAGAIN) return false;
  throw new SystemCallError('flock', errno);
}

/** No core dumps, no ptrace, and a /proc/self that belongs to root: memory that holds keys stays ours (prctl(2)). */
export function forbidDumps(): void {
  const PR_SET_DUMPABLE = 4;
  checked('prctl', libc().now('prctl', PR_SET_DUMPABLE, 0, 0, 0, 0));
}

export function isDumpable(): boolean {
  const PR_GET_DUMPABLE = 3;
  return checked('prctl', libc().now('prctl', PR_GET_DUMPABLE, 0, 0, 0, 0)) !== 0;
}

/**
 * Sends one datagram to a Unix socket and closes again; Node has no such sockets. Never waits.
 * @param address a path, or `@name` for an abstract address
 * @returns false when the receiver's queue is full
 */
export function sendDatagram(address: string, message: string): boolean {
  const [AF_UNIX, SOCK_DGRAM_CLOEXEC] = [1, 2 | 0o2000000];
  const MSG_NOSIGNAL_DONTWAIT = 0x4000 | 0x40;
  const target = unixAddress(address);
  const content = Buffer.from(message);
  const body = memory(content.length);
  body.set(content);
  const fd = checked('socket', libc().now('socket', AF_UNIX, SOCK_DGRAM_CLOEXEC, 0));
  try {
    const { bytes, length } = target;
    const sent = libc().now('sendto', fd, body, content.length, MSG_NOSIGNAL_DONTWAIT, bytes, length);
    if (sent >= 0) return true;
    const errno = lastErrno();
    if (errno === ERRNO.EAGAIN) return false;
    throw new SystemCallError('sendto', errno);
  } finally {
    closeSync(fd);
  }
}

/** struct sockaddr_un: family, then the path with its NUL, or NUL and the abstract name without one. */
function unixAddress(address: string): { bytes: Buffer; length: number } {
  const abstract = address.startsWith('@');
  const name = Buffer.from(abstract ? `\0${address.slice(1)}` : `${address}\0`);
  if (name.length > 108) throw new RangeError(`the socket address ${address} is longer than 107 bytes`);
  const bytes = memory(110);
  bytes.writeUInt16LE(1, 0);
  name.copy(bytes, 2);
  return { bytes, length: 2 + name.length };
}

const TIME_ERROR = 5;

/** Whether some service keeps the system's clock in time, as the kernel knows; undefined where it may not be asked. */
export function isClockSynchronised(): boolean | undefined {
  // All zero asks for no change. A struct timex has 208 bytes.
  const state = libc().now('adjtimex', memory(256));
  return state < 0 ? undefined : state !== TIME_ERROR;
}
