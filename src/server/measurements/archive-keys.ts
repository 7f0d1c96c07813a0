import type { LogKind } from '../../measure/appraise/contract.js';
import type { Datastore, Kind, Records, Stored } from '../datastores/contract.js';

const PAGE = 200;

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

export function logPrefix(hostId: string, boot: string, kind?: LogKind): string {
  return kind === undefined ? `${hostId}/${boot}/` : `${hostId}/${boot}/${kind}/`;
}

export function pieceKey(hostId: string, boot: string, kind: LogKind, offset: number): string {
  return `${logPrefix(hostId, boot, kind)}${offset.toString(16).padStart(12, '0')}`;
}

export function pieceOffset(key: string): number {
  return Number.parseInt(key.slice(-12), 16);
}

/** Everything below a prefix, in order, page by page. */
export async function* listPrefix<K extends Kind>(
  store: Datastore,
  kind: K,
  prefix: string,
): AsyncGenerator<Stored<Records[K]>> {
  for (let after: string | undefined = prefix; after !== undefined; ) {
    const page: Stored<Records[K]>[] = await store.list(kind, { after, limit: PAGE });
    for (const stored of page) {
      if (!stored.key.startsWith(prefix)) return;
      yield stored;
    }
    after = page.length < PAGE ? undefined : page.at(-1)?.key;
  }
}
