import { constants } from 'node:crypto';
import type { Socket } from 'node:net';
import { createSecureContext, type SecureContext, type TLSSocket, connect as tlsConnect } from 'node:tls';
import {
  CallCredentials,
  ChannelCredentials,
  Client,
  type ClientOptions,
  credentials,
  type experimental,
} from '@grpc/grpc-js';
import { messageOf, TouchmarkError } from '../errors.js';
import { peerChain } from './peer-chain.js';
import type { TlsIdentity } from './tls-listener.js';

/** A connection, or several in turn, to one server. */
export interface RpcChannel {
  readonly client: Client;
  close(): void;
}

export interface ChannelOptions {
  /** Bytes of one answer; default 4 MiB. */
  readonly maxResponseBytes?: number;
  /** Ping interval while calls run; default off. */
  readonly keepaliveMs?: number;
  /** Longest pause between two attempts to connect; default 5 s. */
  readonly maxBackoffMs?: number;
}

export interface TlsChannelOptions extends ChannelOptions {
  readonly host: string;
  readonly port: number;
  /** DER, leaf first. Throws unless this is the server that is meant; no byte of a request is sent before. */
  verify(chain: readonly Uint8Array[]): void | Promise<void>;
  /** Asked at each new connection; undefined shows no certificate. */
  identity?(): TlsIdentity | undefined;
  /** Default 10 s. */
  readonly handshakeTimeoutMs?: number;
}

/** To a Unix socket, without TLS: who serves there is decided by the permissions of the path. */
export function unixChannel(path: string, options: ChannelOptions = {}): RpcChannel {
  return channel(`unix:${path}`, credentials.createInsecure(), {
    // The name that Go and C-core clients send over Unix sockets.
    'grpc.default_authority': 'localhost',
    ...clientOptions(options),
  });
}

/** TLS 1.2 or later, no session resumption; the server's chain is judged by `verify` alone. */
export function tlsChannel(options: TlsChannelOptions): RpcChannel {
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;
  return channel(`${host}:${options.port}`, new VerifyingCredentials(options), clientOptions(options));
}

function channel(target: string, creds: ChannelCredentials, options: ClientOptions): RpcChannel {
  const client = new Client(target, creds, options);
  return { client, close: () => client.close() };
}

function clientOptions(options: ChannelOptions): ClientOptions {
  return {
    // Channels of one process must not share connections: each stands for an identity of its own.
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_channelz': 0,
    'grpc.enable_retries': 0,
    'grpc.enable_http_proxy': 0,
    'grpc.service_config_disable_resolution': 1,
    'grpc.max_receive_message_length': options.maxResponseBytes ?? 4 * 1024 * 1024,
    'grpc.initial_reconnect_backoff_ms': 200,
    'grpc.max_reconnect_backoff_ms': options.maxBackoffMs ?? 5000,
    ...(options.keepaliveMs === undefined
      ? {}
      : { 'grpc.keepalive_time_ms': options.keepaliveMs, 'grpc.keepalive_timeout_ms': 10_000 }),
  };
}

/**
 * grpc-js's own TLS credentials call their check only for chains that OpenSSL accepts by its own clock and anchors. This
 * connector makes the TLS connection itself, and hands it on once `verify` has agreed.
 */
class VerifyingCredentials extends ChannelCredentials {
  readonly #options: TlsChannelOptions;

  constructor(options: TlsChannelOptions) {
    super();
    this.#options = options;
  }

  _isSecure(): boolean {
    return true;
  }

  _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  _createSecureConnector(): experimental.SecureConnector {
    const options = this.#options;
    return {
      connect: (socket) => secured(socket, options),
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => CallCredentials.createEmpty(),
      destroy: () => {},
    };
  }
}

async function secured(
  socket: Socket,
  options: TlsChannelOptions,
): Promise<experimental.SecureConnectResult> {
  const tls = await handshake(socket, options);
  try {
    if (tls.alpnProtocol !== 'h2')
      throw new TouchmarkError('server_untrusted', 'the server does not speak h2');
    await options.verify(peerChain(tls));
  } catch (error) {
    tls.destroy();
    throw new Error(messageOf(error), { cause: error });
  }
  // True by our own verdict; grpc-js shows the peer's certificate to callers only of sockets that are authorised.
  tls.authorized = true;
  return { socket: tls, secure: true };
}

function handshake(socket: Socket, options: TlsChannelOptions): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const timeoutMs = options.handshakeTimeoutMs ?? 10_000;
    const timer = setTimeout(
      () => tls.destroy(new Error(`no TLS handshake within ${timeoutMs} ms`)),
      timeoutMs,
    );
    const tls = tlsConnect({
      socket,
      secureContext: contextOf(options.identity?.()),
      rejectUnauthorized: false,
      ALPNProtocols: ['h2'],
      ...(isIp(options.host) ? {} : { servername: options.host }),
    });
    tls.once('secureConnect', () => {
      clearTimeout(timer);
      resolve(tls);
    });
    tls.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    tls.once('close', () => {
      clearTimeout(timer);
      reject(new Error('the server closed the connection during the TLS handshake'));
    });
  });
}

function contextOf(identity: TlsIdentity | undefined): SecureContext {
  return createSecureContext({
    ca: [],
    minVersion: 'TLSv1.2',
    secureOptions: constants.SSL_OP_NO_TICKET,
    ...(identity === undefined ? {} : { key: identity.keyPem, cert: identity.chainPem }),
  });
}

function isIp(host: string): boolean {
  return /^[0-9.]+$/.test(host) || host.includes(':');
}
