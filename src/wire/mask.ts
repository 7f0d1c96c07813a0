import { clearField, type DescMessage, type MessageShape } from '@bufbuild/protobuf';

type FieldOf<M> = Exclude<keyof M, '$typeName' | '$unknown'>;

/** Whether a mask asks for a field; one that is absent asks for everything. */
export function masked<M extends object>(mask: M | undefined, field: FieldOf<M>): boolean {
  return mask === undefined || mask[field] === true;
}

/**
 * Clears what the mask does not ask for, in place; for Entry, Agent, Bundle and FederationRelationship alike. The key
 * field has no place in masks and always stays. Fields that the mask does not know are cleared.
 */
export function applyMask<D extends DescMessage>(
  schema: D,
  message: MessageShape<D>,
  mask: object | undefined,
  key: string,
): MessageShape<D> {
  if (mask === undefined) return message;
  const asked = mask as Record<string, unknown>;
  for (const field of schema.fields) {
    // A oneof is masked under its own name: bundle_endpoint_profile, not https_web.
    const name = field.oneof?.localName ?? field.localName;
    if (name !== key && asked[name] !== true) clearField(message, field);
  }
  return message;
}
