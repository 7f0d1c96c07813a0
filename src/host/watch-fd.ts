import { Socket } from 'node:net';

interface StreamHandle {
  open(fd: number): number;
}
type HandleConstructor = new (kind: number) => StreamHandle;

let pipeConstructor: HandleConstructor | undefined;

/**
 * Calls once when a descriptor that is not a stream (a pidfd) becomes readable. Takes the descriptor over; never keeps the
 * process alive. Returns how to stop.
 *
 * Node has no public way to wait for such a descriptor. Its pipe handle accepts any pollable one: libuv puts it into its epoll
 * set, and when it becomes readable tries read(2), which fails with EINVAL on a pidfd. That failure is the event. The way
 * around, a thread that sits in poll(2), would take one of libuv's four.
 */
export function watchReadable(fd: number, listener: () => void): () => void {
  pipeConstructor ??= findPipeConstructor();
  const handle = new pipeConstructor(0);
  const code = handle.open(fd);
  if (code !== 0) throw new Error(`descriptor ${fd} cannot be watched (${code})`);
  const options = { handle, readable: true, writable: false };
  const socket = new Socket(options as ConstructorParameters<typeof Socket>[0]);
  let watching = true;
  const readable = () => {
    if (!watching) return;
    watching = false;
    socket.destroy();
    listener();
  };
  socket.on('error', readable).on('data', readable).on('end', readable);
  socket.unref();
  socket.resume();
  return () => {
    watching = false;
    socket.destroy();
  };
}

/** A socket that connects to a path holds a pipe handle from that moment on: its constructor is what we need. */
function findPipeConstructor(): HandleConstructor {
  const probe = new Socket();
  probe.on('error', () => {});
  probe.connect({ path: '/' });
  const { _handle: handle } = probe as unknown as { _handle?: StreamHandle };
  probe.destroy();
  if (typeof handle?.open !== 'function') throw new Error('this Node.js has no pipe handle to watch with');
  return handle.constructor as HandleConstructor;
}
