import type { DescMethod, DescService, Message, MessageShape } from '@bufbuild/protobuf';
import type { Metadata } from '@grpc/grpc-js';
import type { Encoded } from './encoded.js';

/** One method, computed once when its service is added. */
export interface MethodInfo {
  /** `/package.Service/Method`, as it stands in the HTTP/2 path. */
  readonly path: string;
  /** `package.Service` */
  readonly service: string;
  readonly name: string;
  readonly kind: DescMethod['methodKind'];
}

/** What a handler knows of the call that it answers; `C` is what the listener found out about who connected. */
export interface Call<C> {
  readonly caller: C;
  readonly method: MethodInfo;
  readonly metadata: Metadata;
  /** Fires once when the call is over: answered, cancelled, past its deadline, its connection closed or the server stopping. */
  readonly signal: AbortSignal;
  /** Unix milliseconds; undefined when the client set none. */
  readonly deadline: number | undefined;
  readonly requestId: string;
  /** Fields that the audit line of this call shows. Never secrets. */
  readonly audit: Record<string, unknown>;
}

/** How a call ended. */
export interface Outcome {
  /** gRPC status number. */
  readonly code: number;
  /** What was thrown; absent when the call succeeded. */
  readonly error?: unknown;
  readonly durationMs: number;
}

/**
 * What stands before and after every call, of whichever kind. Two plain functions instead of a `next` chain: nothing is
 * allocated per call, and the same code serves unary calls and streams that live for weeks.
 */
export interface Interceptor<C> {
  /**
   * In the order of the list, before the handler. Throws to refuse. `request` is absent where the client streams.
   * A promise is awaited; return nothing where none is needed, for that is cheaper.
   */
  before?(call: Call<C>, request: Message | undefined): void | Promise<void>;
  /** In reverse order, once the call has ended, also when it was refused. Must not throw. */
  after?(call: Call<C>, outcome: Outcome): void;
}

/** What a handler answers with: a message, or its bytes where it has them already. */
export type Answer<M extends Message> = M | Encoded<M>;

export type Unary<M extends DescMethod, C> = (
  request: MessageShape<M['input']>,
  call: Call<C>,
) => Promise<Answer<MessageShape<M['output']>>>;

/** The iterable must end when `call.signal` fires; it is pulled only as fast as the client reads. */
export type ServerStream<M extends DescMethod, C> = (
  request: MessageShape<M['input']>,
  call: Call<C>,
) => AsyncIterable<Answer<MessageShape<M['output']>>>;

export type BidiStream<M extends DescMethod, C> = (
  requests: AsyncIterable<MessageShape<M['input']>>,
  call: Call<C>,
) => AsyncIterable<Answer<MessageShape<M['output']>>>;

export type Handler<M extends DescMethod, C> = M['methodKind'] extends 'unary'
  ? Unary<M, C>
  : M['methodKind'] extends 'server_streaming'
    ? ServerStream<M, C>
    : BidiStream<M, C>;

/** The methods of a service that are implemented; what is left out answers Unimplemented. */
export type ServiceImpl<S extends DescService, C> = {
  readonly [K in keyof S['method']]?: Handler<S['method'][K], C>;
};
