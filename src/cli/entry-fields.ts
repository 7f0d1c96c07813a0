import { parseSpiffeId, type SpiffeId, trustDomainFromOperator } from '../spiffe/id.js';
import { parseSelector, type Selector } from '../spiffe/selector.js';

/** A registration entry as a person writes it in a file. */
export interface EntryManifest {
  readonly spiffeId: SpiffeId;
  readonly parentId: SpiffeId;
  readonly selectors: readonly Selector[];
  readonly x509SvidTtl: number;
  readonly jwtSvidTtl: number;
  readonly federatesWith: readonly string[];
  readonly dnsNames: readonly string[];
  readonly hint: string;
  readonly admin: boolean;
  readonly downstream: boolean;
  readonly storeSvid: boolean;
  readonly expiresAt: number;
  readonly disableX509SvidPrefetch: boolean;
  readonly jwtSvidIncludeJti: boolean;
}

/** Reads one value or throws an Error that says what it must be. */
export type Reader = (value: unknown) => unknown;

export const text: Reader = (value) => {
  if (typeof value !== 'string') throw new Error('must be text');
  return value;
};
const flag: Reader = (value) => {
  if (typeof value !== 'boolean') throw new Error('must be true or false');
  return value;
};
const seconds: Reader = (value) => {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw new Error('must be a whole number of seconds');
  return value;
};
const listOf =
  (read: Reader): Reader =>
  (value) => {
    if (!Array.isArray(value)) throw new Error('must be a list');
    return value.map(read);
  };
const spiffeId: Reader = (value) => parseSpiffeId(text(value) as string);

/** `unix:uid:1000`, or {type, value} as SPIRE's files have it. */
const selector: Reader = (value) => {
  if (typeof value !== 'object' || value === null) return parseSelector(text(value) as string);
  const { type, value: rest } = value as Record<string, unknown>;
  return parseSelector(`${text(type)}:${text(rest)}`);
};
const selectors: Reader = (value) => {
  const list = listOf(selector)(value) as unknown[];
  if (list.length === 0) throw new Error('at least one is needed');
  return list;
};

export interface EntryField {
  readonly read: Reader;
  /** What it is when it is not written; without this it must be written. */
  readonly missing?: unknown;
}

export const entryFields: Readonly<Record<keyof EntryManifest, EntryField>> = {
  spiffeId: { read: spiffeId },
  parentId: { read: spiffeId },
  selectors: { read: selectors },
  x509SvidTtl: { read: seconds, missing: 0 },
  jwtSvidTtl: { read: seconds, missing: 0 },
  federatesWith: { read: listOf((value) => trustDomainFromOperator(text(value) as string)), missing: [] },
  dnsNames: { read: listOf(text), missing: [] },
  hint: { read: text, missing: '' },
  admin: { read: flag, missing: false },
  downstream: { read: flag, missing: false },
  storeSvid: { read: flag, missing: false },
  expiresAt: { read: seconds, missing: 0 },
  disableX509SvidPrefetch: { read: flag, missing: false },
  jwtSvidIncludeJti: { read: flag, missing: false },
};
