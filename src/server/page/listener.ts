/**
 * The operators' page over HTTP: on a Unix socket or a loopback address in clear, anywhere else over TLS to holders of an
 * operator's SVID only. Read-only, without cookies, scripts or anything from elsewhere.
 */
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { PageConfig } from '../../config/server-config.js';
import { messageOf, TouchmarkError } from '../../errors.js';
import { peerOf } from '../../host/peer.js';
import type { Logger } from '../../log.js';
import { type Handshakes, limitHandshakes } from '../../rpc/handshakes.js';
import { peerChain } from '../../rpc/peer-chain.js';
import { callerTls, type TlsIdentity } from '../../rpc/tls-listener.js';
import { descriptorOf } from '../../rpc/unix-listener.js';
import { listenOnPath } from '../../rpc/unix-path.js';
import type { PageAnswer } from './routes.js';

export interface PageListenerDeps {
  readonly config: PageConfig;
  readonly log: Logger;
  readonly identity: TlsIdentity;
  answer(url: URL): Promise<PageAnswer>;
  /** Whether whoever is at the other end may look: the uid of a Unix socket's peer, or what a TLS peer showed. */
  mayLook(peer: PagePeer): boolean;
}

export type PagePeer =
  | { readonly via: 'unix'; readonly uid: number }
  | { readonly via: 'tls'; readonly address: string; readonly chain: readonly Uint8Array[] };

export interface PageListener extends AsyncDisposable {
  /** 0 on a Unix socket. */
  readonly port: number;
  rotate(identity: TlsIdentity): void;
}

/** The operators' group may connect; who of it may look is asked of the table of roles. */
const SOCKET_MODE = 0o770;
/** A browser opens six. Over TLS strangers may connect too, but none keeps a connection once it was refused. */
const MAX_CONNECTIONS = 512;
const HANDSHAKES_PER_ADDRESS = 64;
/** Milliseconds in which nothing is taken or sent. */
const SILENCE_MS = 30_000;

const headers = {
  'content-security-policy':
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
};
/** Requests name a path; what it is resolved against never matters. */
const NO_HOST = 'http://page.invalid';
const limits = {
  maxHeaderSize: 8 * 1024,
  headersTimeout: 10_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
};
const tlsLimits = { ...limits, handshakeTimeout: 10_000 };

/** @throws TouchmarkError `server_socket_failed`, `socket_path_invalid`, `socket_in_use` */
export async function listenForPage(deps: PageListenerDeps): Promise<PageListener> {
  const { config } = deps;
  const handle = (request: IncomingMessage, response: ServerResponse) => void serve(deps, request, response);
  const secure =
    config.kind === 'tls'
      ? createHttpsServer({ ...tlsLimits, ...callerTls(deps.identity) }, handle)
      : undefined;
  const handshakes: Handshakes | undefined = secure && limitHandshakes(secure, HANDSHAKES_PER_ADDRESS);
  const server: Server = secure ?? createHttpServer(limits, handle);
  server.maxConnections = MAX_CONNECTIONS;
  server.setTimeout(SILENCE_MS, (socket: Socket) => socket.destroy());
  server.on('error', (error) => deps.log.error('the page’s listener failed', { error: messageOf(error) }));
  if (config.kind === 'unix') await listenOnPath(server, config.path, SOCKET_MODE);
  else await listenOnPort(server, config.host, config.port);
  const address = server.address();
  return {
    port: typeof address === 'object' ? ((address as AddressInfo | null)?.port ?? 0) : 0,
    rotate: (identity) => secure?.setSecureContext(callerTls(identity)),
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      handshakes?.destroyAll();
    },
  };
}

function listenOnPort(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      const message = `cannot listen on ${host}:${port}: ${messageOf(cause)}`;
      reject(new TouchmarkError('server_socket_failed', message, { cause }));
    });
    server.listen(port, host, resolve);
  });
}

async function serve(
  deps: PageListenerDeps,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const refused = refusal(deps, request);
    if (refused !== undefined) return refuse(response, ...refused);
    const path = request.url ?? '/';
    if (!URL.canParse(path, NO_HOST)) return refuse(response, 400, 'this is no path');
    const { status, type, body } = await deps.answer(new URL(path, NO_HOST));
    send(response, status, type, request.method === 'HEAD' ? '' : body);
  } catch (error) {
    deps.log.warn('a page could not be shown', { error: messageOf(error) });
    refuse(response, 500, 'this page cannot be shown; the server’s log says why');
  }
}

/**
 * Who may not look, and why. A browser on this machine, or at the other end of a forwarded port, is asked by any web site: a
 * foreign Host name gives that away. Over TLS the certificate does.
 */
function refusal(
  { config, mayLook }: PageListenerDeps,
  request: IncomingMessage,
): [number, string] | undefined {
  if (request.method !== 'GET' && request.method !== 'HEAD') return [405, 'this page can only be looked at'];
  if (config.kind !== 'tls' && !isLocalName(request.headers.host ?? ''))
    return [421, 'this is not that host: ask for localhost'];
  if (config.kind === 'loopback') return undefined;
  const peer = config.kind === 'tls' ? tlsPeer(request.socket as TLSSocket) : unixPeer(request.socket);
  return peer !== undefined && mayLook(peer) ? undefined : [403, 'only operators may look at this'];
}

function tlsPeer(socket: TLSSocket): PagePeer {
  return { via: 'tls', address: socket.remoteAddress ?? '', chain: peerChain(socket) };
}

function unixPeer(socket: Socket): PagePeer | undefined {
  const fd = descriptorOf(socket);
  if (fd === undefined) return undefined;
  const { uid, process } = peerOf(fd);
  process.close();
  return { via: 'unix', uid };
}

function isLocalName(host: string): boolean {
  return /^(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/i.test(host);
}

/** Nobody who is told this keeps the connection. */
function refuse(response: ServerResponse, status: number, why: string): void {
  response.setHeader('connection', 'close');
  if (status === 405) response.setHeader('allow', 'GET, HEAD');
  send(response, status, 'text/plain; charset=utf-8', `${why}\n`);
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { ...headers, 'content-type': type });
  response.end(body);
}
