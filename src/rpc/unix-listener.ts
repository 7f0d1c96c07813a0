import { createServer, type Server, type Socket } from 'node:net';
import type { Clock } from '../clock.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { RpcServer } from './server.js';
import { listenOnPath } from './unix-path.js';

export interface UnixListenerOptions<C> {
  readonly server: RpcServer<C>;
  readonly log: Logger;
  readonly clock: Clock;
  /** A path to bind, or a listening descriptor that was handed over (socket activation). */
  readonly at: { readonly path: string; readonly mode: number } | { readonly fd: number };
  /**
   * Who connected. Runs before a byte is read from the socket; throws to close it. `fd` is the accepted descriptor.
   * What the result holds is released by the server's `onClose`; `drop` releases it when it never gets that far.
   */
  identify(fd: number, socket: Socket): Promise<C>;
  /** What connections are counted by, for example the uid. */
  keyOf(caller: C): string;
  drop?(caller: C): void;
  /** How long `identify` may take; default 5 s. */
  readonly identifyTimeoutMs?: number;
  /** Connections that are being identified at one time; default 128. */
  readonly maxPending?: number;
}

export interface Listener {
  /**
   * Stops accepting, and drops who has connected but is not served yet. Resolves once nobody can connect any more; connections
   * that are served go on and are not waited for.
   */
  close(): Promise<void>;
}

/** @throws TouchmarkError `socket_path_invalid`, `socket_in_use` */
export async function listenUnix<C>(options: UnixListenerOptions<C>): Promise<Listener> {
  const pending = new Set<Socket>();
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: false }, (socket) => {
    socket.on('error', () => {});
    if (pending.size >= (options.maxPending ?? 128)) {
      socket.destroy();
      return;
    }
    pending.add(socket);
    void introduce(options, socket).finally(() => pending.delete(socket));
  });
  server.on('error', (error) => options.log.error('a Unix listener failed', { error: messageOf(error) }));
  const { at } = options;
  if ('fd' in at) await listenOnFd(server, at.fd);
  else await listenOnPath(server, at.path, at.mode);
  return {
    close() {
      const closed = stopAccepting(server);
      for (const socket of pending) socket.destroy();
      return closed;
    },
  };
}

/** Node's own call-back for it comes only after the last connection has ended, which may be weeks later. */
export function stopAccepting(server: Server): Promise<void> {
  server.close();
  return new Promise((resolve) => setImmediate(resolve));
}

async function introduce<C>(options: UnixListenerOptions<C>, socket: Socket): Promise<void> {
  const fd = descriptorOf(socket);
  if (fd === undefined) {
    socket.destroy();
    return;
  }
  const cancel = options.clock.after(options.identifyTimeoutMs ?? 5000, () => socket.destroy());
  let caller: C;
  let key: string;
  try {
    caller = await options.identify(fd, socket);
    key = keyOrDrop(options, caller);
  } catch (error) {
    options.log.info('a connection was refused', { error: messageOf(error) });
    socket.destroy();
    return;
  } finally {
    cancel();
  }
  if (socket.destroyed || !options.server.accept(socket, caller, key)) {
    options.drop?.(caller);
    socket.destroy();
    return;
  }
  socket.resume();
}

/** The key that a caller is counted by; what it holds is released when there is none. */
export function keyOrDrop<C>(
  options: { keyOf(caller: C): string; drop?(caller: C): void },
  caller: C,
): string {
  try {
    return options.keyOf(caller);
  } catch (error) {
    options.drop?.(caller);
    throw error;
  }
}

function listenOnFd(server: Server, fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ fd }, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
}

/** Node keeps the descriptor of a pipe in its handle; there is no documented way to it. A test holds this. */
export function descriptorOf(socket: Socket): number | undefined {
  const handle = (socket as unknown as { _handle?: { fd?: unknown } | null })._handle;
  return typeof handle?.fd === 'number' && handle.fd >= 0 ? handle.fd : undefined;
}
