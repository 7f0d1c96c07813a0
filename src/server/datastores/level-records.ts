/** How records lie in LevelDB: keys, values, and the sum that shows whether all of them are there. Pure. */
import { hash } from 'node:crypto';
import { TouchmarkError } from '../../errors.js';
import type { Kind, Page, Records, Stored } from './contract.js';

/** Changes when older versions of this file could not read what this one writes. */
export const FORMAT = 1;

/** The one record that every batch rewrites. */
export const HEAD_KEY = 'head';

export interface Head {
  readonly format: number;
  readonly epoch: string;
  readonly revision: number;
  /** Hex: `sumOf` every record, joined by exclusive or. */
  readonly sum: string;
}

/** The sum of no records, to which they are added in place. */
export function emptySum(): Buffer {
  return Buffer.alloc(32);
}

export function recordKey(kind: Kind, key: string): string {
  return `r!${kind}!${key}`;
}

/** Exclusive bounds of all records, or of those of one kind. `"` is the character after `!`. */
export function keyRange(
  kind?: Kind,
  { after = '', before }: Pick<Page, 'after' | 'before'> = {},
): { gt: string; lt: string } {
  const prefix = kind === undefined ? 'r' : `r!${kind}`;
  return { gt: `${prefix}!${after}`, lt: before === undefined ? `${prefix}"` : `${prefix}!${before}` };
}

export function encodeRecord(value: unknown, revision: number): string {
  return `${revision} ${JSON.stringify(value)}`;
}

export function revisionOf(raw: string | undefined): number {
  return raw === undefined ? 0 : Number.parseInt(raw, 10);
}

export function decodeRecord<K extends Kind>(kind: K, dbKey: string, raw: string): Stored<Records[K]> {
  const space = raw.indexOf(' ');
  const revision = Number(raw.slice(0, space));
  if (space < 1 || !Number.isSafeInteger(revision)) throw corrupt(`the record ${dbKey} has no revision`);
  try {
    return {
      key: dbKey.slice(recordKey(kind, '').length),
      value: JSON.parse(raw.slice(space + 1)) as Records[K],
      revision,
    };
  } catch (cause) {
    throw corrupt(`the record ${dbKey} is not JSON`, cause);
  }
}

/** Most records are summed here, which spares a copy of each in memory that has to be cleared up. */
const summed = Buffer.alloc(64 * 1024);

/**
 * One record's part of the sum, one character per byte. Finds what a disk lost or changed; not made against somebody who
 * writes the files.
 */
export function sumOf(dbKey: string, raw: string): string {
  // UTF-8 has at most three bytes for each unit of a text.
  if ((dbKey.length + raw.length) * 3 >= summed.length) return hash('sha256', `${dbKey}\0${raw}`, 'binary');
  const keyEnd = summed.write(dbKey);
  summed[keyEnd] = 0;
  const end = keyEnd + 1 + summed.write(raw, keyEnd + 1);
  return hash('sha256', summed.subarray(0, end), 'binary');
}

/** Adds a record to a sum in place, or takes it out again: both are exclusive or. */
export function foldSum(sum: Uint8Array, part: string): void {
  for (let at = 0; at < sum.length; at++) sum[at] = (sum[at] ?? 0) ^ part.charCodeAt(at);
}

export function encodeHead(head: Head): string {
  return JSON.stringify(head);
}

/** @throws TouchmarkError `datastore_corrupt`, `datastore_format_unknown` */
export function decodeHead(raw: string): Head {
  let head: Partial<Head>;
  try {
    head = JSON.parse(raw) as Partial<Head>;
  } catch (cause) {
    throw corrupt('its head record is not JSON', cause);
  }
  if (head.format !== FORMAT) {
    throw new TouchmarkError(
      'datastore_format_unknown',
      `the datastore has format ${String(head.format)}, this version reads format ${FORMAT}`,
    );
  }
  const { epoch, revision, sum } = head;
  const sound = typeof epoch === 'string' && typeof sum === 'string' && Number.isSafeInteger(revision);
  if (!sound || revision === undefined) throw corrupt('its head record is incomplete');
  return { format: FORMAT, epoch, revision, sum };
}

export function corrupt(why: string, cause?: unknown): TouchmarkError {
  return new TouchmarkError('datastore_corrupt', `the datastore is damaged: ${why}`, { cause });
}
