import { TouchmarkError } from '../../errors.js';
import type { Bundle } from '../../spiffe/bundle.js';
import { parseTrustDomain, type TrustDomain } from '../../spiffe/id.js';
import type { AuthorityState } from '../contract.js';
import type { Commit, Condition, Datastore, Stored, Write } from '../datastores/contract.js';
import { listeners } from '../datastores/listeners.js';
import type { AuthorityRecord, BundleRecord } from '../model.js';
import { bundleFromRecord, emptyBundleRecord, ownBundle, sameContent } from './bundle.js';

export type Purpose = AuthorityRecord['purpose'];

export interface BookChange {
  readonly put?: readonly AuthorityRecord[];
  readonly drop?: readonly AuthorityRecord[];
  /** The own stored bundle with other content; its sequence is given here, never by the caller. */
  readonly stored?: BundleRecord;
}

/** Authority records and bundles: in memory as they are committed, changed by conditional commits only. */
export interface AuthorityBook extends Disposable {
  records(purpose?: Purpose): readonly AuthorityRecord[];
  state(purpose: Purpose): AuthorityState;
  /** The own domain's stored record: appended authorities, refresh hint, sequence. */
  stored(): BundleRecord;
  bundle(): Bundle;
  bundleOf(trustDomain: string): Bundle | undefined;
  domains(): readonly string[];
  /** Writes all of it or nothing; the own bundle's sequence rises by one exactly when its content changes. */
  change(change: BookChange): Promise<void>;
  onChange(listener: () => void): () => void;
}

interface Pages {
  readonly authorities: Map<string, Stored<AuthorityRecord>>;
  readonly bundles: Map<string, Stored<BundleRecord>>;
}

/** What readers ask for, worked out once for each commit. */
interface View {
  readonly own: BundleRecord;
  readonly bundle: Bundle;
  readonly states: { readonly [P in Purpose]: AuthorityState };
}

export async function openAuthorityBook(
  store: Datastore,
  trustDomain: TrustDomain,
  refreshHint: number,
): Promise<AuthorityBook> {
  const pages: Pages = {
    authorities: new Map((await store.list('authority')).map((row) => [row.key, row])),
    bundles: new Map((await store.list('bundle')).map((row) => [row.key, row])),
  };
  const empty = emptyBundleRecord(trustDomain, refreshHint);
  const changes = listeners<void>();
  let view = viewOf(pages, trustDomain, empty);
  const stop = store.subscribe((commit) => {
    if (!turnPages(pages, commit)) return;
    view = viewOf(pages, trustDomain, empty, view.bundle);
    changes.tell();
  });
  const foreignBundle = foreignBundles(pages);
  return {
    records: (purpose) =>
      sorted(pages).filter((record) => purpose === undefined || record.purpose === purpose),
    state: (purpose) => view.states[purpose],
    stored: () => view.own,
    bundle: () => view.bundle,
    bundleOf: (name) => (name === trustDomain ? view.bundle : foreignBundle(name)),
    domains: () => [...pages.bundles.keys()].filter((name) => name !== trustDomain),
    change: (change) => commitChange(store, pages, { trustDomain, ...view }, change),
    onChange: changes.add,
    [Symbol.dispose]: stop,
  };
}

/** Keeps the bundle of before as an object where its content is the same. */
function viewOf(pages: Pages, trustDomain: TrustDomain, empty: BundleRecord, before?: Bundle): View {
  const own = pages.bundles.get(trustDomain)?.value ?? empty;
  const bundle = ownBundle(trustDomain, sorted(pages), own);
  const same = before !== undefined && before.sequence === bundle.sequence && sameContent(before, bundle);
  const states = { x509: stateOf(pages, 'x509'), jwt: stateOf(pages, 'jwt') };
  return { own, bundle: same ? before : bundle, states };
}

/** Each stored bundle is read once, and is the same object until it is stored again. */
function foreignBundles(pages: Pages): (name: string) => Bundle | undefined {
  const read = new WeakMap<BundleRecord, Bundle>();
  return (name) => {
    const record = pages.bundles.get(name)?.value;
    if (record === undefined) return undefined;
    const bundle = read.get(record) ?? bundleFromRecord(parseTrustDomain(name), record);
    read.set(record, bundle);
    return bundle;
  };
}

/** The stored bundle's revision stands in every condition, so that no two changes are ever made of the same content. */
async function commitChange(
  store: Datastore,
  pages: Pages,
  before: { trustDomain: TrustDomain; own: BundleRecord; bundle: Bundle },
  { put = [], drop = [], stored = before.own }: BookChange,
): Promise<void> {
  const { trustDomain } = before;
  const after = new Map(pages.authorities);
  const writes: Write[] = [];
  for (const record of drop) {
    after.delete(keyOf(record));
    writes.push({ kind: 'authority', key: keyOf(record), deleted: true });
  }
  for (const value of put) {
    after.set(keyOf(value), { key: keyOf(value), value, revision: 0 });
    writes.push({ kind: 'authority', key: keyOf(value), value });
  }
  const content = ownBundle(trustDomain, sorted({ ...pages, authorities: after }), stored);
  if (!sameContent(content, before.bundle) || before.bundle.sequence === 0n) {
    const sequence = String(before.bundle.sequence + 1n);
    writes.push({ kind: 'bundle', key: trustDomain, value: { ...stored, sequence } });
  }
  const conditions: Condition[] = [...put, ...drop].map((record) => ({
    kind: 'authority',
    key: keyOf(record),
    revision: pages.authorities.get(keyOf(record))?.revision ?? 0,
  }));
  conditions.push({
    kind: 'bundle',
    key: trustDomain,
    revision: pages.bundles.get(trustDomain)?.revision ?? 0,
  });
  await store.commit(writes, conditions);
}

/** Returns whether the commit was about authorities or bundles at all. */
function turnPages(pages: Pages, { revision, writes }: Commit): boolean {
  let turned = false;
  for (const write of writes) {
    if (write.kind !== 'authority' && write.kind !== 'bundle') continue;
    turned = true;
    const { key } = write;
    if (write.kind === 'authority') {
      if ('deleted' in write) pages.authorities.delete(key);
      else pages.authorities.set(key, { key, value: write.value, revision });
    } else if ('deleted' in write) pages.bundles.delete(key);
    else pages.bundles.set(key, { key, value: write.value, revision });
  }
  return turned;
}

/** In the order in which they were made: that of the bundle, so it must not move when a record is changed. */
function sorted({ authorities }: Pages): AuthorityRecord[] {
  const records = [...authorities.values()].map(({ value }) => value);
  return records.sort((a, b) => a.issuedAt - b.issuedAt || (keyOf(a) < keyOf(b) ? -1 : 1));
}

/** Of several old ones the newest; of those made within one second the one that was changed last. */
function stateOf({ authorities }: Pages, purpose: Purpose): AuthorityState {
  const rows = [...authorities.values()].filter(({ value }) => value.purpose === purpose);
  rows.sort((a, b) => a.value.issuedAt - b.value.issuedAt || a.revision - b.revision);
  const state: { -readonly [S in keyof AuthorityState]: AuthorityState[S] } = {};
  for (const { value } of rows) state[value.slot] = value;
  return state;
}

function keyOf({ purpose, id }: AuthorityRecord): string {
  return `${purpose}/${id}`;
}

export function unavailable(purpose: Purpose, why: string, cause?: unknown): TouchmarkError {
  const name = purpose === 'x509' ? 'X.509' : 'JWT';
  return new TouchmarkError('authority_unavailable', `there is no ${name} authority that can sign: ${why}`, {
    cause,
  });
}
