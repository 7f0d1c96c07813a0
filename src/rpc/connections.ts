import type { Socket } from 'node:net';
import type { Clock } from '../clock.js';

/** One accepted connection, for as long as its socket lives. */
export interface Connection<C> {
  /** What grpc-js reports as the peer of each call on it: never an address, so that nobody can choose it. */
  readonly token: string;
  readonly caller: C;
  readonly key: string;
  readonly socket: Socket;
  /** Calls that are running. */
  calls: number;
  /** Clock milliseconds since which no call runs. */
  idleSince: number;
}

export interface ConnectionLimits {
  readonly total: number;
  /** For one caller key: a uid, an address, a SPIFFE ID. */
  readonly perKey: number;
}

export interface Connections<C> {
  /**
   * Takes a socket in, closing the longest idle connection of the same key (or, when the total is reached, of the key
   * that holds most) to make room. undefined when nothing is idle: the caller destroys the socket.
   */
  admit(socket: Socket, caller: C, key: string): Connection<C> | undefined;
  byToken(token: string): Connection<C> | undefined;
  readonly size: number;
  /** Resolves when the last connection has closed. */
  whenEmpty(): Promise<void>;
  destroyAll(): void;
}

/**
 * Idle connections cannot keep others out: who is at a limit loses what it does not use. A connection with a running
 * call is never closed for another's sake.
 */
export function createConnections<C>(
  limits: ConnectionLimits,
  clock: Clock,
  onClose: (connection: Connection<C>) => void,
): Connections<C> {
  const all = new Map<string, Connection<C>>();
  const keys = new Map<string, Set<Connection<C>>>();
  const waiting: (() => void)[] = [];
  let accepted = 0;

  function drop(connection: Connection<C>): void {
    if (!all.delete(connection.token)) return;
    const same = keys.get(connection.key);
    same?.delete(connection);
    if (same?.size === 0) keys.delete(connection.key);
    if (all.size === 0) for (const tell of waiting.splice(0)) tell();
    onClose(connection);
  }

  function makeRoom(key: string): boolean {
    const own = keys.get(key);
    const full = own !== undefined && own.size >= limits.perKey;
    if (!full && all.size < limits.total) return true;
    const victim = longestIdle<C>(full ? own : (largest(keys) ?? new Set<Connection<C>>()));
    if (victim === undefined) return false;
    victim.socket.destroy();
    drop(victim);
    return true;
  }

  return {
    admit(socket, caller, key) {
      if (!makeRoom(key)) return undefined;
      accepted += 1;
      const token = `conn:${accepted}`;
      const connection: Connection<C> = { token, caller, key, socket, calls: 0, idleSince: clock.now() };
      namePeer(socket, token);
      all.set(token, connection);
      const same = keys.get(key);
      if (same === undefined) keys.set(key, new Set([connection]));
      else same.add(connection);
      socket.once('close', () => drop(connection));
      return connection;
    },
    byToken: (token) => all.get(token),
    get size() {
      return all.size;
    },
    async whenEmpty() {
      if (all.size > 0) await new Promise<void>((resolve) => waiting.push(resolve));
    },
    destroyAll() {
      for (const connection of [...all.values()]) connection.socket.destroy();
    },
  };
}

/** grpc-js's getPeer() reads these two: own properties stand before the socket's getters, so the token is exact. */
function namePeer(socket: Socket, token: string): void {
  Object.defineProperty(socket, 'remoteAddress', { value: token });
  Object.defineProperty(socket, 'remotePort', { value: undefined });
}

function longestIdle<C>(connections: Set<Connection<C>>): Connection<C> | undefined {
  let found: Connection<C> | undefined;
  for (const connection of connections) {
    if (connection.calls === 0 && (found === undefined || connection.idleSince < found.idleSince))
      found = connection;
  }
  return found;
}

function largest<T>(sets: Map<string, Set<T>>): Set<T> | undefined {
  let found: Set<T> | undefined;
  for (const set of sets.values()) if (found === undefined || set.size > found.size) found = set;
  return found;
}
