import type { Readable } from 'node:stream';
import type { Connection } from './connections.js';

export interface BacklogLimits {
  /** Bytes of unfinished messages in all connections together. */
  readonly total: number;
  /** In one connection. */
  readonly perConnection: number;
  /** One that says that it is larger is refused by its header and held by nobody. */
  readonly message: number;
}

/**
 * What has arrived of messages that are not whole yet. gRPC keeps it in memory before anybody can be asked who may send it, and
 * HTTP/2 gives every stream its own room: without a bound a stranger fills the memory with messages that never end.
 */
export interface Backlog<C> {
  /** Counts the DATA of one call. Reads nothing by itself: a stream that is paused stays so. */
  watch(data: Readable, connection: Connection<C>): void;
  /** Bytes that are held now. */
  readonly held: number;
}

/** Over a limit the connection that holds most is closed: whole messages, however many, never count. */
export function createBacklog<C>(limits: BacklogLimits): Backlog<C> {
  const byConnection = new Map<Connection<C>, number>();
  let held = 0;

  function change(connection: Connection<C>, by: number): void {
    if (by === 0) return;
    const now = (byConnection.get(connection) ?? 0) + by;
    held += by;
    if (now === 0) byConnection.delete(connection);
    else byConnection.set(connection, now);
    if (now > limits.perConnection) connection.socket.destroy();
    else if (held > limits.total) largest(byConnection)?.socket.destroy();
  }

  return {
    get held() {
      return held;
    },
    watch(data, connection) {
      const message = newMessage();
      data.on('data', (chunk: Buffer) => {
        const before = message.held;
        take(message, chunk, limits.message);
        change(connection, message.held - before);
      });
      data.once('close', () => {
        change(connection, -message.held);
        message.held = 0;
      });
    },
  };
}

/** Length-prefixed messages, one after the other: a flag, a length of 32 bits, and that many bytes. */
interface Message {
  headerBytes: number;
  length: number;
  left: number;
  held: number;
}

const HEADER = 5;

function newMessage(): Message {
  return { headerBytes: 0, length: 0, left: 0, held: 0 };
}

function take(message: Message, chunk: Buffer, most: number): void {
  for (let at = 0; at < chunk.length; ) {
    if (message.headerBytes < HEADER) {
      if (message.headerBytes > 0) message.length = message.length * 256 + (chunk[at] ?? 0);
      message.headerBytes += 1;
      message.left = message.length;
      at += 1;
    } else {
      const part = Math.min(message.left, chunk.length - at);
      message.left -= part;
      if (message.length <= most) message.held += part;
      at += part;
    }
    if (message.headerBytes === HEADER && message.left === 0) Object.assign(message, newMessage());
  }
}

function largest<C>(held: ReadonlyMap<Connection<C>, number>): Connection<C> | undefined {
  let found: { connection: Connection<C>; bytes: number } | undefined;
  for (const [connection, bytes] of held) if (bytes > (found?.bytes ?? 0)) found = { connection, bytes };
  return found?.connection;
}
