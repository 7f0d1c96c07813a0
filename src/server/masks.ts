import { clearField, type DescMessage, type MessageShape } from '@bufbuild/protobuf';

/** A mask: one flag per field, named as the field is. */
type Mask = object | undefined;

/**
 * Clears what a mask leaves out. No mask leaves everything; a mask of nothing leaves the key alone.
 * @param key the one field that masks do not have, since it is always answered
 * @returns the same message, which must be the caller's own
 */
export function applyMask<D extends DescMessage>(
  schema: D,
  message: MessageShape<D>,
  mask: Mask,
  key: string,
): MessageShape<D> {
  if (mask === undefined) return message;
  const flags = new Map<string, unknown>(Object.entries(mask));
  for (const field of schema.fields) {
    if (field.localName !== key && flags.get(field.localName) !== true) clearField(message, field);
  }
  return message;
}

/** Whether an input mask asks for a field to be taken; no mask takes all. */
export function masked<M extends object>(mask: M | undefined, field: keyof M & string): boolean {
  return mask === undefined || mask[field] === true;
}
