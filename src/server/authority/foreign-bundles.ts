import { TouchmarkError } from '../../errors.js';
import { type Entry, entryUniqueKey } from '../../spiffe/entry.js';
import type { TrustDomain } from '../../spiffe/id.js';
import { commitPlan, type Plan } from '../commit.js';
import type { Registry } from '../contract.js';
import type { Condition, Datastore, Stored, Write } from '../datastores/contract.js';
import { federationMark } from '../entries/entries.js';
import type { BundleRecord } from '../model.js';

/** What becomes of the entries that federate with a bundle that is deleted; the numbers are SPIRE's. */
export const deleteMode = { restrict: 0, delete: 1, dissociate: 2 } as const;

/** Stored bundles of other trust domains. Each change is one conditional commit. */
export interface Bundles {
  get(domain: TrustDomain): Promise<BundleRecord | undefined>;
  /** Without the own one, in the order of their names. */
  list(page: { after?: string; limit: number }): Promise<Stored<BundleRecord>[]>;
  /** @throws TouchmarkError `bundle_exists` */
  create(bundle: BundleRecord): Promise<BundleRecord>;
  /** @throws TouchmarkError `bundle_not_found` */
  update(domain: TrustDomain, change: (before: BundleRecord) => BundleRecord): Promise<BundleRecord>;
  set(bundle: BundleRecord): Promise<BundleRecord>;
  /** @throws TouchmarkError `bundle_not_found`, `bundle_in_use`, `argument_invalid` for an unknown mode */
  remove(domain: TrustDomain, mode: number): Promise<void>;
}

export function createBundles(store: Datastore, registry: Registry, own: TrustDomain): Bundles {
  const change = (
    domain: string,
    make: (before: BundleRecord | undefined) => BundleRecord,
  ): Promise<BundleRecord> =>
    commitPlan(store, async () => {
      const before = await store.get('bundle', domain);
      const value = make(before?.value);
      const condition: Condition = { kind: 'bundle', key: domain, revision: before?.revision ?? 0 };
      return { writes: [{ kind: 'bundle', key: domain, value }], conditions: [condition], result: value };
    });
  const list: Bundles['list'] = async (page) => {
    // One more than asked for: a page that the own bundle is left out of must not look like the last one.
    const records = await store.list('bundle', { ...page, limit: page.limit + 1 });
    return records.filter(({ key }) => key !== own).slice(0, page.limit);
  };
  return {
    list,
    get: async (domain) => (await store.get('bundle', domain))?.value,
    create: (bundle) =>
      change(bundle.trustDomain, (before) => {
        if (before === undefined) return bundle;
        throw new TouchmarkError('bundle_exists', `there is a bundle of ${bundle.trustDomain} already`);
      }),
    update: (domain, edit) =>
      change(domain, (before) => {
        if (before === undefined) throw notFound(domain);
        return edit(before);
      }),
    set: (bundle) => change(bundle.trustDomain, () => bundle),
    remove: (domain, mode) => commitPlan(store, () => planRemove(store, registry, domain, mode)),
  };
}

/** The mark is read before the entries are looked at: an entry that begins to federate afterwards makes the commit fail. */
async function planRemove(
  store: Datastore,
  registry: Registry,
  domain: TrustDomain,
  mode: number,
): Promise<Plan<undefined>> {
  const key = federationMark(domain);
  const mark = await store.get('meta', key);
  const stored = await store.get('bundle', domain);
  if (stored === undefined) throw notFound(domain);
  const writes: Write[] = [{ kind: 'bundle', key: domain, deleted: true }];
  const conditions: Condition[] = [
    { kind: 'bundle', key: domain, revision: stored.revision },
    { kind: 'meta', key, revision: mark?.revision ?? 0 },
  ];
  const federating = [...registry.entries()].filter((entry) => entry.federatesWith.includes(domain));
  if (mode === deleteMode.restrict && federating.length > 0) {
    throw new TouchmarkError('bundle_in_use', `${federating.length} entries federate with ${domain}`);
  }
  for (const { id } of federating) {
    const entry = await store.get('entry', id);
    if (entry === undefined) continue;
    conditions.push({ kind: 'entry', key: id, revision: entry.revision });
    writes.push(...releaseEntry(entry.value, domain, mode));
  }
  return { writes, conditions, result: undefined };
}

function releaseEntry(entry: Entry, domain: TrustDomain, mode: number): Write[] {
  if (mode === deleteMode.delete) {
    return [
      { kind: 'entry', key: entry.id, deleted: true },
      { kind: 'entry_key', key: entryUniqueKey(entry), deleted: true },
    ];
  }
  if (mode !== deleteMode.dissociate)
    throw new TouchmarkError('argument_invalid', `mode: ${mode} is unknown`);
  const federatesWith = entry.federatesWith.filter((one) => one !== domain);
  return [
    {
      kind: 'entry',
      key: entry.id,
      value: { ...entry, federatesWith, revisionNumber: entry.revisionNumber + 1 },
    },
  ];
}

function notFound(domain: string): TouchmarkError {
  return new TouchmarkError('bundle_not_found', `there is no bundle of trust domain ${domain}`);
}
