import { isAlias } from 'yaml';

/** Tells a problem at a place of the file. */
export type Complain = (offset: number, message: string) => void;

/** What a node holds, without places. */
export function plain(value: unknown): unknown {
  return isAlias(value) ? undefined : (value as { toJSON(): unknown } | null)?.toJSON();
}
