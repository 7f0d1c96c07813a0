import {
  create,
  type DescFile,
  type DescMessage,
  type DescService,
  type MessageInitShape,
  toBinary,
} from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { status } from '@grpc/grpc-js';
import {
  ServerReflection,
  type ServerReflectionRequest,
  ServerReflectionResponseSchema,
} from '../wire/gen/grpc/reflection_pb.js';
import {
  ServerReflectionResponseSchema as AlphaResponseSchema,
  ServerReflection as ServerReflectionAlpha,
} from '../wire/gen/grpc/reflection_v1alpha_pb.js';
import type { ServiceImpl } from './call.js';
import type { RpcServer } from './server.js';

type Schema = typeof ServerReflectionResponseSchema;

/** Adds gRPC server reflection, v1 and v1alpha, for all services that the server has when a client asks. */
export function addReflection<C>(server: RpcServer<C>): void {
  const services = () => server.services;
  server.add(ServerReflection, reflectionService(services, ServerReflectionResponseSchema));
  // The two versions are the same messages, number by number, under another package name.
  const alpha = reflectionService(services, AlphaResponseSchema as unknown as Schema);
  server.add(ServerReflectionAlpha, alpha as unknown as ServiceImpl<typeof ServerReflectionAlpha, C>);
}

/** What is answered, as plain fields: the messages are made from the schema of the version that was asked. */
type Answer = NonNullable<MessageInitShape<Schema>['messageResponse']>;

function reflectionService<C>(
  services: () => readonly DescService[],
  schema: Schema,
): ServiceImpl<typeof ServerReflection, C> {
  return {
    async *serverReflectionInfo(requests) {
      const index = indexOf(services());
      for await (const request of requests) {
        yield create(schema, {
          validHost: request.host,
          originalRequest: request,
          messageResponse: answer(request.messageRequest, index, services()),
        });
      }
    },
  };
}

interface Index {
  readonly files: Map<string, DescFile>;
  readonly symbols: Map<string, DescFile>;
}

function answer(
  asked: ServerReflectionRequest['messageRequest'],
  index: Index,
  services: readonly DescService[],
): Answer {
  switch (asked.case) {
    case 'listServices':
      return {
        case: 'listServicesResponse',
        value: { service: services.map((service) => ({ name: service.typeName })) },
      };
    case 'fileByFilename':
      return fileAnswer(index.files.get(asked.value), `file ${quoted(asked.value)}`);
    case 'fileContainingSymbol':
      return fileAnswer(index.symbols.get(asked.value), `symbol ${quoted(asked.value)}`);
    default:
      return failure(status.NOT_FOUND, 'there are no extensions here');
  }
}

/** The file with everything that it imports, so that a client needs no second question. */
function fileAnswer(file: DescFile | undefined, what: string): Answer {
  if (file === undefined) return failure(status.NOT_FOUND, `${what} is not known here`);
  const fileDescriptorProto = [...withImports(file)].map((one) =>
    toBinary(FileDescriptorProtoSchema, one.proto),
  );
  return { case: 'fileDescriptorResponse', value: { fileDescriptorProto } };
}

function failure(errorCode: number, errorMessage: string): Answer {
  return { case: 'errorResponse', value: { errorCode, errorMessage } };
}

function indexOf(services: readonly DescService[]): Index {
  const files = new Map<string, DescFile>();
  for (const service of services)
    for (const file of withImports(service.file)) files.set(file.proto.name, file);
  const symbols = new Map<string, DescFile>();
  for (const file of files.values()) for (const symbol of symbolsOf(file)) symbols.set(symbol, file);
  return { files, symbols };
}

function withImports(file: DescFile, seen = new Set<DescFile>()): Set<DescFile> {
  if (seen.has(file)) return seen;
  seen.add(file);
  for (const dependency of file.dependencies) withImports(dependency, seen);
  return seen;
}

function* symbolsOf(file: DescFile): Generator<string> {
  for (const service of file.services) {
    yield service.typeName;
    for (const method of service.methods) yield `${service.typeName}.${method.name}`;
  }
  for (const one of file.enums) yield one.typeName;
  for (const message of file.messages) yield* symbolsIn(message);
}

function* symbolsIn(message: DescMessage): Generator<string> {
  yield message.typeName;
  for (const field of message.fields) yield `${message.typeName}.${field.name}`;
  for (const one of message.nestedEnums) yield one.typeName;
  for (const nested of message.nestedMessages) yield* symbolsIn(nested);
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}
