import type { LogKind } from '../../measure/appraise/contract.js';
import type { Datastore, Kind, Records, Stored } from '../datastores/contract.js';

const PAGE = 200;
/** Of a quarter of a mebibyte each. */
const PIECES = 16;

export function evidenceKey(hostId: string, evidenceId: string): string {
  return `${hostId}/${evidenceId}`;
}

/** IDs ascend with time; `nth` tells those of one millisecond apart. */
export function newEvidenceId(at: number, after: string | undefined): string {
  const id = `${at.toString(16).padStart(12, '0')}-00`;
  if (after === undefined || after < id) return id;
  const [ms = '0', nth = '0'] = after.split('-');
  const next = Number.parseInt(nth, 16) + 1;
  return next > 0xff
    ? `${(Number.parseInt(ms, 16) + 1).toString(16).padStart(12, '0')}-00`
    : `${ms}-${next.toString(16).padStart(2, '0')}`;
}

/** Empty where there is neither. */
export function newestId(a = '', b = ''): string {
  return b > a ? b : a;
}

export function logPrefix(hostId: string, boot: string, kind?: LogKind): string {
  return kind === undefined ? `${hostId}/${boot}/` : `${hostId}/${boot}/${kind}/`;
}

export function pieceKey(hostId: string, boot: string, kind: LogKind, offset: number): string {
  return `${logPrefix(hostId, boot, kind)}${offset.toString(16).padStart(12, '0')}`;
}

export function pieceOffset(key: string): number {
  return Number.parseInt(key.slice(-12), 16);
}

/** Exclusive bounds of what lies below a prefix that ends in `/`. */
export function prefixRange(prefix: string): { after: string; before: string } {
  return { after: prefix, before: `${prefix.slice(0, -1)}0` };
}

/** Everything below a prefix, page by page. */
export async function* listPrefix<K extends Kind>(
  store: Datastore,
  kind: K,
  prefix: string,
  order: 'oldest first' | 'newest first' = 'oldest first',
): AsyncGenerator<Stored<Records[K]>> {
  const descending = order === 'newest first';
  const limit = kind === 'evidence_log' ? PIECES : PAGE;
  let range = prefixRange(prefix);
  for (;;) {
    const page: Stored<Records[K]>[] = await store.list(kind, { ...range, descending, limit });
    yield* page;
    const last = page.at(-1)?.key;
    if (page.length < limit || last === undefined) return;
    range = descending ? { ...range, before: last } : { ...range, after: last };
  }
}
