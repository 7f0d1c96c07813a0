import { closeOnExec } from '../../native/libc.js';
import { TouchmarkError } from '../errors.js';

/** A listening socket that the service manager opened for us: give `fd` to `net.Server.listen({ fd })`. */
export interface PassedSocket {
  readonly fd: number;
  /** FileDescriptorName= of the unit; `unknown` when there is none. */
  readonly name: string;
}

const FIRST_FD = 3;
const MAX_FDS = 64;

/**
 * The sockets of sd_listen_fds(3); none when they were passed to another process. The variables are taken out of the
 * environment and the descriptors kept from programs that we start.
 * @throws TouchmarkError `listen_fds_invalid`
 */
export function passedSockets(environment: NodeJS.ProcessEnv = process.env): PassedSocket[] {
  const { LISTEN_PID: pid, LISTEN_FDS: count, LISTEN_FDNAMES: names } = environment;
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PIDFDID']) {
    delete environment[name];
  }
  if (pid !== String(process.pid) || count === undefined) return [];
  const sockets = parseSockets(count, names);
  for (const { fd } of sockets) keep(fd);
  return sockets;
}

function parseSockets(count: string, names: string | undefined): PassedSocket[] {
  const total = /^\d{1,4}$/.test(count) ? Number(count) : Number.NaN;
  if (!(total <= MAX_FDS))
    throw invalid(`LISTEN_FDS is ${JSON.stringify(count)}, at most ${MAX_FDS} is possible`);
  const list = names === undefined ? [] : names.split(':');
  if (names !== undefined && list.length !== total) {
    throw invalid(`LISTEN_FDNAMES has ${list.length} names for ${total} sockets`);
  }
  return Array.from({ length: total }, (_, at) => ({ fd: FIRST_FD + at, name: list[at] || 'unknown' }));
}

function keep(fd: number): void {
  try {
    closeOnExec(fd);
  } catch (cause) {
    throw invalid(`descriptor ${fd} was announced but is not open`, cause);
  }
}

function invalid(message: string, cause?: unknown): TouchmarkError {
  return new TouchmarkError('listen_fds_invalid', message, cause === undefined ? {} : { cause });
}
