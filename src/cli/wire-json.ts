import { type DescMessage, type MessageShape, toJson } from '@bufbuild/protobuf';

/** The protobuf JSON of a response: every field present, so that scripts need not guess. */
export function json<Schema extends DescMessage>(schema: Schema, message: MessageShape<Schema>): unknown {
  return toJson(schema, message, { alwaysEmitImplicit: true });
}
