/** How objects name one another: `name` is whatever is published under it now, `name@<hash>` that very content. */
import { TouchmarkError } from '../../errors.js';

export interface ObjectReference {
  readonly name: string;
  /** Hex SHA-256; absent: the version in force. */
  readonly hash?: string;
}

/** As a regular expression without slashes, for the schema. */
export const NAME_PATTERN = '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$';
export const REFERENCE_PATTERN = '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}(@[0-9a-f]{64})?$';

const written = new RegExp(REFERENCE_PATTERN);

/** @throws TouchmarkError `manifest_invalid` */
export function parseReference(text: string): ObjectReference {
  if (!written.test(text)) {
    throw new TouchmarkError(
      'manifest_invalid',
      `${JSON.stringify(text.slice(0, 150))} is no name and no name@<hash>`,
    );
  }
  const at = text.indexOf('@');
  return at < 0 ? { name: text } : { name: text.slice(0, at), hash: text.slice(at + 1) };
}

export function formatReference({ name, hash }: ObjectReference): string {
  return hash === undefined ? name : `${name}@${hash}`;
}
