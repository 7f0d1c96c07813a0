import { type DescMessage, type MessageShape, toJson } from '@bufbuild/protobuf';

/** The protobuf JSON of a response, as SPIRE prints it: names in snake_case, every field present. */
export function json<Schema extends DescMessage>(schema: Schema, message: MessageShape<Schema>): unknown {
  return toJson(schema, message, { alwaysEmitImplicit: true, useProtoFieldName: true });
}
