import { createHash } from 'node:crypto';
import { TouchmarkError } from '../../errors.js';
import type { MeasurementObject } from './model.js';

/**
 * JSON with sorted keys and no spaces: one text for one value, whatever order it was written in. Strings and numbers are
 * as `JSON.stringify` writes them; keys without a value are left out.
 * @throws TouchmarkError `manifest_invalid` for what JSON cannot say
 */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return JSON.stringify(value);
  if (typeof value === 'number' && Number.isFinite(value)) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value === 'object') {
    const members = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`);
    return `{${members.join(',')}}`;
  }
  throw new TouchmarkError('manifest_invalid', `${String(value)} is not a value that JSON can say`);
}

/** Hex SHA-256 of the canonical form: names this content for ever. */
export function hashOf(object: MeasurementObject): string {
  return hashOfText(canonicalJson(object));
}

export function hashOfText(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
