import { type DescMethod, type DescService, fromBinary, type Message, toBinary } from '@bufbuild/protobuf';
import type {
  ServerDuplexStream,
  ServerUnaryCall,
  ServerWritableStream,
  ServiceDefinition,
  sendUnaryData,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { messageOf, TouchmarkError } from '../errors.js';
import type { Answer, BidiStream, MethodInfo, ServerStream, ServiceImpl, Unary } from './call.js';
import { bytesOf } from './encoded.js';
import { requestsOf } from './requests.js';
import { pump } from './responses.js';
import type { Runtime } from './runtime.js';
import type { ServerCall } from './server-call.js';

type AnyService = UntypedServiceImplementation[string];

/** What grpc-js hands on for bytes that are no request: the refusal, so that it passes the same doors as any call. */
type Decoded = Message | TouchmarkError;

/** Why a stream's signal fires when the stream has ended. One for all: to make an error costs as much as to write a message. */
const over = new TouchmarkError('call_cancelled', 'the call has ended');

/** The pair that grpc.Server.addService takes, for every method of the descriptor. */
export function adapt<S extends DescService, C>(
  service: S,
  impl: ServiceImpl<S, C>,
  runtime: Runtime<C>,
): { definition: ServiceDefinition; handlers: UntypedServiceImplementation } {
  const definition: Record<string, ServiceDefinition[string]> = {};
  const handlers: Record<string, AnyService> = {};
  for (const desc of service.methods) {
    const method = methodInfo(desc);
    definition[desc.localName] = methodDefinition(desc, method, runtime.maxRequestBytes(method));
    const handler = (impl as Record<string, unknown>)[desc.localName];
    handlers[desc.localName] = handlerFor(desc, method, handler, runtime);
  }
  return { definition, handlers };
}

export function methodInfo(desc: DescMethod): MethodInfo {
  const service = desc.parent.typeName;
  return { path: `/${service}/${desc.name}`, service, name: desc.name, kind: desc.methodKind };
}

function methodDefinition(desc: DescMethod, method: MethodInfo, maxBytes: number): ServiceDefinition[string] {
  return {
    path: method.path,
    requestStream: desc.methodKind === 'client_streaming' || desc.methodKind === 'bidi_streaming',
    responseStream: desc.methodKind === 'server_streaming' || desc.methodKind === 'bidi_streaming',
    requestDeserialize: (bytes: Buffer): Decoded => decodeRequest(desc, method, bytes, maxBytes),
    requestSerialize: (message: Message) => asBuffer(toBinary(desc.input, message)),
    responseSerialize: (answer: Answer<Message>) =>
      asBuffer(bytesOf(answer) ?? toBinary(desc.output, answer as Message)),
    responseDeserialize: (bytes: Buffer) => fromBinary(desc.output, plain(bytes)),
  };
}

function decodeRequest(desc: DescMethod, method: MethodInfo, bytes: Buffer, maxBytes: number): Decoded {
  if (bytes.length > maxBytes) {
    const message = `request of ${bytes.length} bytes: ${method.name} takes at most ${maxBytes}`;
    return new TouchmarkError('request_too_large', message);
  }
  try {
    // Unknown fields are dropped: nothing that was not read may be stored or sent on.
    return fromBinary(desc.input, plain(bytes), { readUnknownFields: false });
  } catch (cause) {
    const message = `request of ${method.name} is no ${desc.input.typeName}: ${messageOf(cause)}`;
    return new TouchmarkError('request_malformed', message, { cause });
  }
}

/** As Uint8Array, so that no field of a decoded message is a Buffer. Shares the memory. */
function plain(bytes: Buffer): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function checked(item: unknown): Message {
  if (item instanceof TouchmarkError) throw item;
  return item as Message;
}

function handlerFor<C>(
  desc: DescMethod,
  method: MethodInfo,
  handler: unknown,
  runtime: Runtime<C>,
): AnyService {
  switch (desc.methodKind) {
    case 'unary': {
      const run = (handler ?? unimplemented(method)) as Unary<DescMethod, C>;
      return (surface: ServerUnaryCall<Decoded, Answer<Message>>, reply: sendUnaryData<Answer<Message>>) =>
        void answerUnary(runtime, method, run, surface, reply);
    }
    case 'server_streaming': {
      const run = (handler ?? unimplemented(method)) as ServerStream<DescMethod, C>;
      return (surface: ServerWritableStream<Decoded, Answer<Message>>) =>
        void answerStream(runtime, method, surface, (call) => run(checked(surface.request), call));
    }
    default: {
      const run = (handler ?? unimplemented(method)) as BidiStream<DescMethod, C>;
      return (surface: ServerDuplexStream<Decoded, Answer<Message>>) =>
        void answerStream(runtime, method, surface, (call) => run(requestsOf(surface, call, checked), call));
    }
  }
}

/** A method without a handler is refused like any other first: who may not call it does not learn that it is missing. */
function unimplemented(method: MethodInfo): () => never {
  return () => {
    throw new TouchmarkError('method_unimplemented', `${method.path} is not implemented by this server`);
  };
}

async function answerUnary<C>(
  runtime: Runtime<C>,
  method: MethodInfo,
  handler: Unary<DescMethod, C>,
  surface: ServerUnaryCall<Decoded, Answer<Message>>,
  reply: sendUnaryData<Answer<Message>>,
): Promise<void> {
  const call = runtime.begin(method, surface);
  if (call instanceof TouchmarkError) {
    reply(runtime.statusOf(call, undefined));
    return;
  }
  try {
    const request = checked(surface.request);
    for (const interceptor of runtime.interceptors) {
      const wait = interceptor.before?.(call, request);
      if (wait !== undefined) await wait;
    }
    const response = await handler(request, call);
    runtime.end(call, undefined);
    reply(null, response);
  } catch (error) {
    const status = runtime.statusOf(error, call);
    runtime.end(call, { error, code: status.code });
    reply(status);
  }
}

type StreamSurface =
  | ServerWritableStream<Decoded, Answer<Message>>
  | ServerDuplexStream<Decoded, Answer<Message>>;

async function answerStream<C>(
  runtime: Runtime<C>,
  method: MethodInfo,
  surface: StreamSurface,
  start: (call: ServerCall<C>) => AsyncIterable<Answer<Message>>,
): Promise<void> {
  const call = runtime.begin(method, surface);
  if (call instanceof TouchmarkError) {
    surface.emit('error', runtime.statusOf(call, undefined));
    return;
  }
  runtime.streams.add(call);
  try {
    const request = 'request' in surface ? checked(surface.request) : undefined;
    for (const interceptor of runtime.interceptors) await interceptor.before?.(call, request);
    await pump(start(call), surface, call, runtime);
    runtime.end(call, undefined);
    surface.end();
  } catch (error) {
    const status = runtime.statusOf(error, call);
    runtime.end(call, { error, code: status.code });
    if (error instanceof TouchmarkError && error.code === 'reader_stuck') runtime.reset(surface, call);
    else if (!surface.cancelled) surface.emit('error', status);
  } finally {
    runtime.streams.delete(call);
    call.abort(over);
  }
}
