/** HTTPS for relying parties: anybody may connect, nothing but reading is offered, and everything is bounded. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { messageOf, TouchmarkError } from '../../errors.js';
import type { Logger } from '../../log.js';
import { limitConnections, limitHandshakes } from '../../rpc/handshakes.js';
import type { TlsIdentity } from '../../rpc/tls-listener.js';
import { plain, type Routes, type WebResponse } from './routes.js';

export interface WebListenerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly identity: TlsIdentity;
  readonly routes: Routes;
  readonly log: Logger;
  readonly limits?: Partial<typeof webLimits>;
}

export interface WebListener extends AsyncDisposable {
  readonly port: number;
  /** New connections are shown this from now on. */
  rotate(identity: TlsIdentity): void;
}

export const webLimits = {
  connections: 2_000,
  connectionsPerAddress: 500,
  handshakesPerAddress: 64,
  headerBytes: 8 * 1024,
  pathCharacters: 1024,
  handshakeMs: 10_000,
  headersMs: 10_000,
  requestMs: 15_000,
  idleMs: 15_000,
  /** A response that is not taken for so long is given up. */
  writeMs: 30_000,
  requestsPerConnection: 1_000,
};

/** @throws TouchmarkError `web_socket_failed`, `web_certificate_invalid` */
export async function listenForRelyingParties(options: WebListenerOptions): Promise<WebListener> {
  const limits = { ...webLimits, ...options.limits };
  const server = createHttps(options, limits);
  server.maxConnections = limits.connections;
  server.maxRequestsPerSocket = limits.requestsPerConnection;
  server.setTimeout(limits.writeMs, (socket: Socket) => socket.destroy());
  const handshakes = limitHandshakes(server, limits.handshakesPerAddress);
  limitConnections(server, limits.connectionsPerAddress);
  server.on('error', (error) => options.log.error('the HTTPS listener failed', { error: messageOf(error) }));
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      const at = `${options.host}:${options.port}`;
      reject(new TouchmarkError('web_socket_failed', `cannot listen on ${at}: ${cause.message}`, { cause }));
    });
    server.listen(options.port, options.host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    rotate: (identity) => server.setSecureContext(contextOf(identity)),
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      handshakes.destroyAll();
      await closed;
    },
  };
}

function createHttps({ identity, routes, log }: WebListenerOptions, limits: typeof webLimits) {
  try {
    return createServer(
      {
        ...contextOf(identity),
        handshakeTimeout: limits.handshakeMs,
        maxHeaderSize: limits.headerBytes,
        headersTimeout: limits.headersMs,
        requestTimeout: limits.requestMs,
        keepAliveTimeout: limits.idleMs,
        connectionsCheckingInterval: 1_000,
      },
      (request, response) => respond(routes, limits, log, request, response),
    );
  } catch (cause) {
    throw new TouchmarkError(
      'web_certificate_invalid',
      `the certificate for HTTPS cannot be used: ${messageOf(cause)}`,
      { cause },
    );
  }
}

/** TLS 1.2 or later; nobody is asked for a certificate. */
function contextOf({ keyPem, chainPem }: TlsIdentity) {
  return { key: keyPem, cert: chainPem, ca: [], minVersion: 'TLSv1.2' as const };
}

function respond(
  routes: Routes,
  limits: typeof webLimits,
  log: Logger,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  // A body is nobody's here: it is dropped unread.
  request.resume();
  let answer: WebResponse;
  try {
    answer = answerOf(routes, limits, request);
  } catch (error) {
    log.error('a request over HTTPS could not be answered', { error: messageOf(error) });
    answer = plain(500, 'this cannot be shown now');
  }
  response.writeHead(answer.status, answer.headers);
  response.end(request.method === 'HEAD' ? undefined : answer.body);
}

function answerOf(
  routes: Routes,
  limits: typeof webLimits,
  { method, url, headers }: IncomingMessage,
): WebResponse {
  const [path = ''] = (url ?? '').split('?', 1);
  if (path.length > limits.pathCharacters) return plain(414, 'the path is too long');
  return routes.answer({ method: method ?? '', path, ifNoneMatch: headers['if-none-match'] });
}
