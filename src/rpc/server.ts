import type { Socket } from 'node:net';
import type { DescService } from '@bufbuild/protobuf';
import {
  Server,
  ServerCredentials,
  type ServerInterceptingCall,
  type ServerInterceptor,
} from '@grpc/grpc-js';
import type { Clock } from '../clock.js';
import { TouchmarkError } from '../errors.js';
import type { Logger } from '../log.js';
import { adapt } from './adapter.js';
import { type Backlog, type BacklogLimits, createBacklog } from './backlog.js';
import type { Interceptor, ServiceImpl } from './call.js';
import {
  type Connection,
  type ConnectionLimits,
  type Connections,
  createConnections,
} from './connections.js';
import { createRuntime, http2StreamOf } from './runtime.js';

export interface RpcServerOptions<C> {
  readonly clock: Clock;
  readonly log: Logger;
  readonly interceptors?: readonly Interceptor<C>[];
  /** Default 1 024 connections in all, 256 for one caller key. */
  readonly limits?: ConnectionLimits;
  /** Bytes of one request message; default 1 MiB. */
  readonly maxRequestBytes?: number;
  /** Other limits by method path. None may be above 4 MiB. */
  readonly maxRequestBytesOf?: Readonly<Record<string, number>>;
  /**
   * Bytes of messages that have not arrived whole; default 256 times `maxRequestBytes` in all, 32 times on one connection, and
   * never less than the largest message.
   */
  readonly backlog?: Omit<BacklogLimits, 'message'>;
  /** Calls that may run on one connection; default 256. */
  readonly maxCallsPerConnection?: number;
  /** How long a stream's message may wait for its reader; default 30 s. */
  readonly writeTimeoutMs?: number;
  /** A connection without calls is closed after this; default 15 min. */
  readonly idleTimeoutMs?: number;
  /**
   * Ping interval that finds half-open connections; default 60 s. Unix sockets need it too: once a client has broken the
   * protocol, Node stops reading and never sees that it is gone.
   */
  readonly keepaliveMs?: number;
  /** A connection that has not sent one byte by then is closed; default 10 s. */
  readonly firstByteTimeoutMs?: number;
  /** When a connection has ended: the place to release what its caller context holds. */
  onClose?(caller: C): void;
}

/** A gRPC server that never listens: listeners hand it sockets, together with who connected. */
export interface RpcServer<C> {
  add<S extends DescService>(service: S, impl: ServiceImpl<S, C>): void;
  /** In the order of their addition. */
  readonly services: readonly DescService[];
  /**
   * Serves HTTP/2 on a socket. `key` is what connections are counted by. False when the limits leave no room: the
   * socket is destroyed and `onClose` is not called.
   */
  accept(socket: Socket, caller: C, key: string): boolean;
  readonly connectionCount: number;
  /** Ends streams with Unavailable, lets unary calls finish for `graceMs`, then closes every connection. */
  close(graceMs?: number): Promise<void>;
}

const MIB = 1024 * 1024;
/** gRPC's own default: no message anywhere is larger. */
const MAX_MESSAGE_BYTES = 4 * MIB;
const KEEPALIVE_TIMEOUT_MS = 20_000;

export function createRpcServer<C>(options: RpcServerOptions<C>): RpcServer<C> {
  const { clock, log } = options;
  const connections = createConnections<C>(
    options.limits ?? { total: 1024, perKey: 256 },
    clock,
    (connection) => options.onClose?.(connection.caller),
  );
  const runtime = createRuntime<C>({
    clock,
    log,
    connections,
    interceptors: options.interceptors ?? [],
    writeTimeoutMs: options.writeTimeoutMs ?? 30_000,
    maxRequestBytes: options.maxRequestBytes ?? MIB,
    maxRequestBytesOf: options.maxRequestBytesOf ?? {},
  });
  const backlog = createBacklog<C>(backlogLimits(options));
  const server = new Server({ ...channelOptions(options), interceptors: [watching(connections, backlog)] });
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const services: DescService[] = [];

  return {
    add(service, impl) {
      const { definition, handlers } = adapt(service, impl, runtime);
      server.addService(definition, handlers);
      services.push(service);
    },
    services,
    accept(socket, caller, key) {
      socket.on('error', () => {});
      const connection = runtime.stopping ? undefined : connections.admit(socket, caller, key);
      if (connection === undefined) {
        socket.destroy();
        return false;
      }
      injector.injectConnection(socket);
      watchFirstByte(connection, clock, options.firstByteTimeoutMs ?? 10_000);
      return true;
    },
    get connectionCount() {
      return connections.size;
    },
    async close(graceMs = 2000) {
      runtime.stopping = true;
      const stopping = new TouchmarkError('server_stopping', 'the server is stopping');
      for (const stream of [...runtime.streams]) stream.abort(stopping);
      injector.destroy();
      await atMost(graceMs, clock, connections.whenEmpty());
      connections.destroyAll();
      server.forceShutdown();
    },
  };
}

function channelOptions<C>(options: RpcServerOptions<C>): ConstructorParameters<typeof Server>[0] {
  const keepaliveMs = options.keepaliveMs ?? 60_000;
  return {
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
    'grpc.max_concurrent_streams': options.maxCallsPerConnection ?? 256,
    'grpc.max_connection_idle_ms': options.idleTimeoutMs ?? 15 * 60_000,
    // Megabytes that one HTTP/2 session may hold; grpc-js would leave it without a bound.
    'grpc-node.max_session_memory': 64,
    'grpc.enable_channelz': 0,
    'grpc.keepalive_time_ms': keepaliveMs,
    'grpc.keepalive_timeout_ms': Math.min(KEEPALIVE_TIMEOUT_MS, keepaliveMs),
  };
}

function backlogLimits<C>({ backlog, maxRequestBytes = MIB }: RpcServerOptions<C>): BacklogLimits {
  const message = MAX_MESSAGE_BYTES;
  const perConnection = Math.max(32 * maxRequestBytes, message);
  return { total: Math.max(256 * maxRequestBytes, 8 * message), perConnection, ...backlog, message };
}

/** Changes nothing about a call: here alone its stream is known before its first message is read. */
function watching<C>(connections: Connections<C>, backlog: Backlog<C>): ServerInterceptor {
  return (_method, call) => {
    const connection = connections.byToken(call.getPeer());
    const stream = http2StreamOf({ call });
    if (connection !== undefined && stream !== undefined) backlog.watch(stream, connection);
    return call as ServerInterceptingCall;
  };
}

/** HTTP/2 has no time-out for a peer that connects and says nothing. */
function watchFirstByte<C>(connection: Connection<C>, clock: Clock, timeoutMs: number): void {
  const { socket } = connection;
  const before = socket.bytesRead;
  const cancel = clock.after(timeoutMs, () => {
    if (connection.calls === 0 && socket.bytesRead === before) socket.destroy();
  });
  socket.once('close', cancel);
}

async function atMost(limitMs: number, clock: Clock, wait: Promise<void>): Promise<void> {
  let cancel = () => {};
  const limit = new Promise<void>((resolve) => {
    cancel = clock.after(limitMs, resolve);
  });
  await Promise.race([wait, limit]);
  cancel();
}
