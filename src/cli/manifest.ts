import { isMap, LineCounter, parseAllDocuments, type YAMLMap } from 'yaml';
import { nearest } from '../config/nearest.js';
import type { Problem } from '../config/problem.js';
import { messageOf } from '../errors.js';
import { parseSpiffeId, type SpiffeId, trustDomainFromOperator } from '../spiffe/id.js';
import { parseSelector, type Selector } from '../spiffe/selector.js';

/** A workload as a manifest declares it: `kind: Entry`, YAML or JSON. */
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

type Reader = (value: unknown) => unknown;

const text: Reader = (value) => {
  if (typeof value !== 'string') throw new Error('must be text');
  return value;
};
const flag: Reader = (value) => {
  if (typeof value !== 'boolean') throw new Error('must be true or false');
  return value;
};
const seconds: Reader = (value) => {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0)
    throw new Error('must be a whole number of seconds');
  return value;
};
const listOf =
  (read: Reader): Reader =>
  (value) => {
    if (!Array.isArray(value)) throw new Error('must be a list');
    return value.map(read);
  };
const id: Reader = (value) => parseSpiffeId(text(value) as string);

/** Every field of `kind: Entry`: how it is read, and what it is when it is not written. */
const entryFields: Readonly<Record<string, { read: Reader; missing?: unknown }>> = {
  kind: { read: text },
  spiffeId: { read: id },
  parentId: { read: id },
  selectors: { read: listOf((value) => parseSelector(text(value) as string)) },
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

/** Reads all documents of a file; every problem is collected, each with its place. */
export function readManifest(
  file: string,
  source: string,
): { entries: EntryManifest[]; problems: Problem[] } {
  const lines = new LineCounter();
  const problems: Problem[] = [];
  const entries: EntryManifest[] = [];
  const complain = (offset: number, message: string) => {
    const { line, col } = lines.linePos(offset);
    problems.push({ file, line: Math.max(1, line), column: Math.max(1, col), message });
  };
  for (const document of parseAllDocuments(source, { lineCounter: lines, uniqueKeys: true })) {
    if (!('errors' in document)) continue;
    for (const error of document.errors)
      complain(error.pos[0], error.message.split('\n')[0]?.replace(/ at line .*/, '') ?? '');
    if (document.errors.length > 0 || document.contents === null) continue;
    if (!isMap(document.contents)) complain(0, 'a manifest is a mapping that begins with kind: Entry');
    else readEntry(document.contents as YAMLMap, complain, entries);
  }
  return { entries, problems };
}

function readEntry(
  map: YAMLMap,
  complain: (offset: number, message: string) => void,
  into: EntryManifest[],
): void {
  const values = new Map<string, unknown>();
  const start = map.range?.[0] ?? 0;
  let good = true;
  const bad = (offset: number, message: string) => {
    good = false;
    complain(offset, message);
  };
  for (const pair of map.items) {
    const key = pair.key as { value?: unknown; range?: [number, number, number] };
    const name = String(key.value);
    const offset = key.range?.[0] ?? start;
    const row = Object.hasOwn(entryFields, name) ? entryFields[name] : undefined;
    if (!row) {
      bad(offset, `unknown field ${JSON.stringify(name)}${nearest(name, Object.keys(entryFields))}`);
      continue;
    }
    try {
      values.set(name, row.read((pair.value as { toJSON(): unknown } | null)?.toJSON()));
    } catch (error) {
      bad(offset, `${name}: ${messageOf(error)}`);
    }
  }
  const kind = values.get('kind');
  if (kind !== 'Entry' && good)
    bad(start, `kind must be Entry${kind === undefined ? '' : `, not ${JSON.stringify(kind)}`}`);
  for (const [name, row] of Object.entries(entryFields)) {
    if (values.has(name)) continue;
    if (row.missing === undefined && good) bad(start, `${name} is missing`);
    values.set(name, row.missing);
  }
  if (good && (values.get('selectors') as unknown[]).length === 0)
    bad(start, 'selectors: at least one is needed');
  values.delete('kind');
  if (good) into.push(Object.fromEntries(values) as unknown as EntryManifest);
}
