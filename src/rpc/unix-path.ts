import { chmod, lstat, mkdir, unlink } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { dirname, isAbsolute } from 'node:path';
import { messageOf, TouchmarkError } from '../errors.js';

/** sun_path of sockaddr_un holds 108 bytes with its final zero. */
const MAX_PATH_BYTES = 107;

/**
 * Binds a server to a path, with the mode that it has from its first moment on. A socket that was left behind is
 * replaced only if nobody answers on it; anything else that stands there stays.
 * @throws TouchmarkError `socket_path_invalid`, `socket_in_use`
 */
export async function listenOnPath(server: Server, path: string, mode: number): Promise<void> {
  if (!isAbsolute(path)) throw invalid(path, 'it is not absolute');
  if (Buffer.byteLength(path) > MAX_PATH_BYTES)
    throw invalid(path, `it is longer than ${MAX_PATH_BYTES} bytes`);
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o755 });
    await removeStale(path);
    await listen(server, path);
    await chmod(path, mode);
  } catch (cause) {
    if (cause instanceof TouchmarkError) throw cause;
    throw new TouchmarkError('socket_path_invalid', `cannot listen on ${path}: ${messageOf(cause)}`, {
      cause,
    });
  }
}

async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) throw invalid(path, 'something that is not a socket stands there');
  if (await answers(path)) throw new TouchmarkError('socket_in_use', `another process serves on ${path}`);
  await unlink(path);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    // A full backlog (EAGAIN) or a missing permission still means that somebody is there.
    probe.once('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
    );
  });
}

/** The path is bound inside listen() itself, so that the umask holds for this socket and for nothing else. */
function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const before = process.umask(0o177);
    try {
      server.listen(path, () => {
        server.removeListener('error', reject);
        resolve();
      });
    } finally {
      process.umask(before);
    }
  });
}

function invalid(path: string, why: string): TouchmarkError {
  return new TouchmarkError('socket_path_invalid', `socket path ${JSON.stringify(path)}: ${why}`);
}
