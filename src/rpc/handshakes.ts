import type { Socket } from 'node:net';
import type { Server } from 'node:tls';

/** Counts what is in progress, by address: a handshake costs a signature, and one address may not have many. */
export interface Handshakes {
  /** False: this one is too many. */
  begin(socket: Socket): boolean;
  /** The handshake of the connection from this address and port is over. */
  end(socket: Socket): void;
  /** Nobody waits for those that are not over. */
  destroyAll(): void;
}

/** Connections beyond that many from one address are closed before their handshake costs anything. */
export function limitHandshakes(server: Server, perAddress: number): Handshakes {
  const handshakes = createHandshakes(perAddress);
  server.on('connection', (socket: Socket) => {
    if (!handshakes.begin(socket)) socket.destroy();
  });
  server.on('secureConnection', (socket) => handshakes.end(socket));
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  return handshakes;
}

/** Connections beyond that many from one address, which nothing but their end makes room for, are closed. */
export function limitConnections(server: Server, perAddress: number): void {
  const connections = createHandshakes(perAddress);
  server.on('connection', (socket: Socket) => {
    if (!connections.begin(socket)) socket.destroy();
  });
}

function createHandshakes(perAddress: number): Handshakes {
  const byAddress = new Map<string, Map<number, Socket>>();

  function remove(address: string, port: number): void {
    const ports = byAddress.get(address);
    ports?.delete(port);
    if (ports?.size === 0) byAddress.delete(address);
  }

  return {
    begin(socket) {
      // Read now: both are gone once the socket has closed.
      const { remoteAddress: address, remotePort: port } = socket;
      if (address === undefined || port === undefined) return false;
      const ports = byAddress.get(address) ?? new Map<number, Socket>();
      if (ports.size >= perAddress) return false;
      ports.set(port, socket);
      byAddress.set(address, ports);
      socket.once('close', () => remove(address, port));
      return true;
    },
    end: (socket) => remove(socket.remoteAddress ?? '', socket.remotePort ?? 0),
    destroyAll() {
      for (const ports of byAddress.values()) for (const socket of ports.values()) socket.destroy();
    },
  };
}
