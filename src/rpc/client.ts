import {
  create,
  type DescMethod,
  type DescService,
  fromBinary,
  type Message,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { type CallOptions as GrpcOptions, Metadata, type ServiceError } from '@grpc/grpc-js';
import { methodInfo } from './adapter.js';
import type { RpcChannel } from './channel.js';
import { type ClientStream, clientStream } from './client-stream.js';
import { rpcErrorOf } from './rpc-error.js';

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** Unix milliseconds after which the call fails with DEADLINE_EXCEEDED. */
  readonly deadline?: number;
  readonly metadata?: Readonly<Record<string, string>>;
  /** Wait through failing connections instead of failing at once. */
  readonly waitForReady?: boolean;
}

export type UnaryCall<M extends DescMethod> = (
  request: MessageInitShape<M['input']>,
  options?: CallOptions,
) => Promise<MessageShape<M['output']>>;

export type ServerStreamCall<M extends DescMethod> = (
  request: MessageInitShape<M['input']>,
  options?: CallOptions,
) => AsyncIterable<MessageShape<M['output']>, undefined>;

export type BidiCall<M extends DescMethod> = (options?: CallOptions) => TypedStream<M>;

/** Both directions of a call. */
export interface TypedStream<M extends DescMethod> {
  /** Resolves when the message was handed to the connection; rejects with RpcError when the call is over. */
  send(request: MessageInitShape<M['input']>): Promise<void>;
  /** Nothing more will be sent. */
  closeSend(): void;
  /** To be read by one reader. Throws RpcError unless the server ended with OK. */
  readonly responses: AsyncIterable<MessageShape<M['output']>, undefined>;
  cancel(): void;
  /** DER of the certificate that the server showed on the connection of this very call; known once an answer arrived. */
  serverLeaf(): Uint8Array | undefined;
}

export type RpcClient<S extends DescService> = {
  readonly [K in keyof S['method']]: S['method'][K]['methodKind'] extends 'unary'
    ? UnaryCall<S['method'][K]>
    : S['method'][K]['methodKind'] extends 'server_streaming'
      ? ServerStreamCall<S['method'][K]>
      : BidiCall<S['method'][K]>;
};

/** Every failure of a call is an RpcError. */
export function createRpcClient<S extends DescService>(service: S, channel: RpcChannel): RpcClient<S> {
  const methods: Record<string, unknown> = {};
  for (const desc of service.methods) methods[desc.localName] = callerOf(desc, channel);
  return methods as RpcClient<S>;
}

function callerOf(desc: DescMethod, channel: RpcChannel): unknown {
  const { path } = methodInfo(desc);
  const encode = (message: Message) => {
    const bytes = toBinary(desc.input, message);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
  const decode = (bytes: Buffer): Message =>
    fromBinary(desc.output, new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  const open = (options: CallOptions = {}): ClientStream =>
    clientStream(
      channel.client.makeBidiStreamRequest(path, encode, decode, metadataOf(options), grpcOptions(options)),
      options.signal,
    );
  switch (desc.methodKind) {
    case 'unary':
      return (request: MessageInitShape<typeof desc.input>, options: CallOptions = {}) =>
        callUnary(channel, path, encode, decode, create(desc.input, request), options);
    case 'server_streaming':
      return (request: MessageInitShape<typeof desc.input>, options: CallOptions = {}) =>
        serverStream(() => open(options), create(desc.input, request));
    default:
      return (options: CallOptions = {}) => {
        const stream = open(options);
        return {
          ...stream,
          send: (request: MessageInitShape<typeof desc.input>) => stream.send(create(desc.input, request)),
        };
      };
  }
}

function callUnary(
  channel: RpcChannel,
  path: string,
  encode: (message: Message) => Buffer,
  decode: (bytes: Buffer) => Message,
  request: Message,
  options: CallOptions,
): Promise<Message> {
  return new Promise((resolve, reject) => {
    const { signal } = options;
    const done = (error: ServiceError | null, response?: Message) => {
      signal?.removeEventListener('abort', cancel);
      if (response !== undefined && error === null) resolve(response);
      else reject(rpcErrorOf(error ?? {}));
    };
    const call = channel.client.makeUnaryRequest(
      path,
      encode,
      decode,
      request,
      metadataOf(options),
      grpcOptions(options),
      done,
    );
    const cancel = () => call.cancel();
    if (signal?.aborted) cancel();
    else signal?.addEventListener('abort', cancel, { once: true });
  });
}

/**
 * The call begins with the first `next()`. No generator: `return()` of one would wait behind a `next()` that is pending,
 * and a reader that leaves must cancel at once.
 */
function serverStream(open: () => ClientStream, request: Message): AsyncIterable<Message, undefined> {
  return {
    [Symbol.asyncIterator]() {
      let stream: ClientStream | undefined;
      const start = () => {
        stream = open();
        // Not awaited: a refusal arrives as the end of the answers.
        stream.send(request).catch(() => {});
        stream.closeSend();
        return stream;
      };
      let reader: AsyncIterator<Message, undefined> | undefined;
      return {
        next() {
          reader ??= start().responses[Symbol.asyncIterator]();
          return reader.next();
        },
        async return() {
          stream?.cancel();
          return { done: true, value: undefined };
        },
      };
    },
  };
}

function metadataOf(options: CallOptions): Metadata {
  const metadata = new Metadata({ waitForReady: options.waitForReady ?? false });
  for (const [key, value] of Object.entries(options.metadata ?? {})) metadata.set(key, value);
  return metadata;
}

function grpcOptions(options: CallOptions): GrpcOptions {
  return options.deadline === undefined ? {} : { deadline: options.deadline };
}
