import { constants } from 'node:crypto';
import type { AddressInfo, Socket } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import { messageOf, TouchmarkError } from '../errors.js';
import type { Logger } from '../log.js';
import { limitHandshakes } from './handshakes.js';
import { peerChain } from './peer-chain.js';
import type { RpcServer } from './server.js';
import { keyOrDrop, type Listener, stopAccepting } from './unix-listener.js';

/** A key and its chain, leaf first, in PEM. */
export interface TlsIdentity {
  readonly keyPem: string;
  readonly chainPem: string;
}

/** What a finished handshake says. Nothing here is verified but that the peer holds the key of its leaf. */
export interface TlsPeer {
  /** DER, leaf first; empty when the client showed no certificate. */
  readonly chain: readonly Uint8Array[];
  readonly address: string;
  /**
   * DER of the certificate that this very connection was shown, whatever was rotated since. Taken out of the connection when it
   * is first read, for that costs a fifth of a handshake and few callers bind to it.
   * @throws TouchmarkError `connection_closed`
   */
  readonly serverLeaf: Uint8Array;
}

export interface TlsListenerOptions<C> {
  readonly server: RpcServer<C>;
  readonly log: Logger;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly identity: TlsIdentity;
  /** Who connected; throws to close the connection. Chains are verified here, by the server's own rules and time. */
  identify(peer: TlsPeer): Promise<C> | C;
  keyOf(caller: C): string;
  drop?(caller: C): void;
  /** Default 10 s. */
  readonly handshakeTimeoutMs?: number;
  /** TCP connections, handshakes included; default 4 096. */
  readonly maxConnections?: number;
  /** Handshakes that one address may have in progress; default 64. */
  readonly maxHandshakesPerAddress?: number;
}

export interface TlsListener extends Listener {
  readonly port: number;
  /** New connections are shown this from now on; those that are there stay. */
  rotate(identity: TlsIdentity): void;
}

/**
 * mTLS with optional client certificates: TLS 1.2 or later, h2 only.
 * @throws TouchmarkError `server_socket_failed`
 */
export async function listenTls<C>(options: TlsListenerOptions<C>): Promise<TlsListener> {
  const server = createServer({
    ...callerTls(options.identity),
    ALPNProtocols: ['h2'],
    handshakeTimeout: options.handshakeTimeoutMs ?? 10_000,
  });
  server.maxConnections = options.maxConnections ?? 4096;
  const handshakes = limitHandshakes(server, options.maxHandshakesPerAddress ?? 64);
  server.on('connection', (socket: Socket) => socket.setNoDelay(true));
  server.on('secureConnection', (socket) => void introduce(options, socket));
  server.on('tlsClientError', (error) => {
    options.log.debug('a TLS handshake failed', { error: error.message });
  });
  // Accepting can fail later too, when descriptors run out: nobody listening would end the process.
  server.on('error', (error) => options.log.error('a TLS listener failed', { error: messageOf(error) }));
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      const at = `${options.host}:${options.port}`;
      reject(
        new TouchmarkError('server_socket_failed', `cannot listen on ${at}: ${cause.message}`, { cause }),
      );
    });
    server.listen(options.port, options.host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    rotate: (identity) => server.setSecureContext(callerTls(identity)),
    close() {
      const closed = stopAccepting(server);
      handshakes.destroyAll();
      return closed;
    },
  };
}

/**
 * For a server that knows callers by their certificates: they are asked for one, which its own rules verify, and a session is
 * never resumed, because a resumed one would not show its certificate again.
 */
export function callerTls(identity: TlsIdentity) {
  return {
    key: identity.keyPem,
    cert: identity.chainPem,
    // No anchors: with none given Node would load its whole list of web authorities for nothing.
    ca: [],
    requestCert: true,
    // OpenSSL's verdict is not asked for: who connects is verified against the bundle of the moment.
    rejectUnauthorized: false,
    minVersion: 'TLSv1.2' as const,
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

async function introduce<C>(options: TlsListenerOptions<C>, socket: TLSSocket): Promise<void> {
  socket.on('error', () => {});
  let caller: C;
  let key: string;
  try {
    if (socket.alpnProtocol !== 'h2')
      throw new TouchmarkError('request_malformed', 'the client does not speak h2');
    caller = await options.identify(peerOf(socket));
    key = keyOrDrop(options, caller);
  } catch (error) {
    options.log.info('a connection was refused', { error: messageOf(error) });
    socket.destroy();
    return;
  }
  if (socket.destroyed || !options.server.accept(socket, caller, key)) {
    options.drop?.(caller);
    socket.destroy();
  }
}

function peerOf(socket: TLSSocket): TlsPeer {
  let leaf: Uint8Array | undefined;
  return {
    chain: peerChain(socket),
    address: socket.remoteAddress ?? '',
    get serverLeaf() {
      leaf ??= ownLeaf(socket);
      return leaf;
    },
  };
}

function ownLeaf(socket: TLSSocket): Uint8Array {
  const own = socket.getX509Certificate();
  if (own === undefined) throw new TouchmarkError('connection_closed', 'the connection is closed');
  return new Uint8Array(own.raw);
}
