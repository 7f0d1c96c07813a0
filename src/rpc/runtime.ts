import type { ServerHttp2Stream } from 'node:http2';
import type { Clock } from '../clock.js';
import { TouchmarkError } from '../errors.js';
import type { Logger } from '../log.js';
import type { Interceptor, MethodInfo } from './call.js';
import type { Connections } from './connections.js';
import { type CallStatus, errorToStatus } from './error-status.js';
import { type CallSurface, ServerCall } from './server-call.js';

const HTTP2_CANCEL = 8;

/** What every call of one server shares. */
export interface Runtime<C> {
  readonly clock: Clock;
  readonly writeTimeoutMs: number;
  readonly interceptors: readonly Interceptor<C>[];
  /** Streams that are running; they are ended when the server stops. */
  readonly streams: Set<ServerCall<C>>;
  maxRequestBytes(method: MethodInfo): number;
  /** The call of a connection that is still there, or why there is none. */
  begin(method: MethodInfo, surface: CallSurface): ServerCall<C> | TouchmarkError;
  /** Runs the interceptors' `after`; to be called exactly once. */
  end(call: ServerCall<C>, failure: { error: unknown; code: number } | undefined): void;
  /** The status that a peer is given; what it is not given is logged. */
  statusOf(error: unknown, call: ServerCall<C> | undefined): CallStatus;
  /** Ends one stream at once, although it has bytes that nobody reads. */
  reset(surface: object, call: ServerCall<C>): void;
}

export interface RuntimeOptions<C> {
  readonly clock: Clock;
  readonly log: Logger;
  readonly connections: Connections<C>;
  readonly interceptors: readonly Interceptor<C>[];
  readonly writeTimeoutMs: number;
  readonly maxRequestBytes: number;
  readonly maxRequestBytesOf: Readonly<Record<string, number>>;
}

export function createRuntime<C>(options: RuntimeOptions<C>): Runtime<C> & { stopping: boolean } {
  const { clock, log, connections, interceptors } = options;
  const reversed = [...interceptors].reverse();
  const streams = new Set<ServerCall<C>>();
  return {
    stopping: false,
    clock,
    writeTimeoutMs: options.writeTimeoutMs,
    interceptors,
    streams,
    maxRequestBytes: (method) => options.maxRequestBytesOf[method.path] ?? options.maxRequestBytes,
    begin(method, surface) {
      if (this.stopping) return new TouchmarkError('server_stopping', 'the server is stopping');
      const connection = connections.byToken(surface.getPeer());
      if (connection === undefined)
        return new TouchmarkError('connection_closed', 'the connection is closed');
      connection.calls += 1;
      return new ServerCall(connection, method, surface, clock.now());
    },
    end(call, failure) {
      const now = clock.now();
      call.connection.calls -= 1;
      call.connection.idleSince = now;
      if (reversed.length === 0) return;
      const outcome = { code: failure?.code ?? 0, durationMs: now - call.startedAt, ...withError(failure) };
      for (const interceptor of reversed) runAfter(interceptor, call, outcome, log);
    },
    statusOf(error, call) {
      const requestId = call?.requestId ?? 'none';
      if (!(error instanceof TouchmarkError)) {
        log.error('a call failed', { method: call?.method.path, request: requestId, error: stackOf(error) });
      }
      return errorToStatus(error, requestId);
    },
    reset(surface, call) {
      const stream = http2StreamOf(surface);
      if (stream === undefined) call.connection.socket.destroy();
      else stream.close(HTTP2_CANCEL);
    },
  };
}

function withError(failure: { error: unknown } | undefined): { error?: unknown } {
  return failure === undefined ? {} : { error: failure.error };
}

function runAfter<C>(
  interceptor: Interceptor<C>,
  call: ServerCall<C>,
  outcome: Parameters<NonNullable<Interceptor<C>['after']>>[1],
  log: Logger,
): void {
  try {
    interceptor.after?.(call, outcome);
  } catch (error) {
    log.error('an interceptor failed after a call', { method: call.method.path, error: stackOf(error) });
  }
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/**
 * grpc-js offers no way to reset a stream; its server call keeps the HTTP/2 stream in `call.stream`. Where that is gone
 * in a later version the whole connection is closed instead: the bound holds either way, and a test tells.
 */
export function http2StreamOf(surface: object): ServerHttp2Stream | undefined {
  const stream = (surface as { call?: { stream?: { close?: unknown } } }).call?.stream;
  return typeof stream?.close === 'function' ? (stream as ServerHttp2Stream) : undefined;
}
