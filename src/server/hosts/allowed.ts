import type { Commit, Datastore, Stored } from '../datastores/contract.js';
import type { AllowedEk } from '../model.js';

/** The allowed keys in memory, by hash: looking a name up in a list of thousands must not read the store for each. */
export interface AllowedIndex {
  all(): Promise<ReadonlyMap<string, AllowedEk>>;
}

const PAGE = 1000;

/** Read from the store when first asked for, and kept by its commits from then on. */
export function createAllowedIndex(store: Datastore): AllowedIndex {
  let loading: Promise<ReadonlyMap<string, AllowedEk>> | undefined;
  return {
    all() {
      loading ??= load(store).catch((error: unknown) => {
        loading = undefined;
        throw error;
      });
      return loading;
    },
  };
}

async function load(store: Datastore): Promise<ReadonlyMap<string, AllowedEk>> {
  const found = new Map<string, AllowedEk>();
  const meanwhile: Commit[] = [];
  let take = (commit: Commit): void => void meanwhile.push(commit);
  const stop = store.subscribe((commit) => take(commit));
  try {
    for (let after: string | undefined = ''; after !== undefined; ) {
      const page: Stored<AllowedEk>[] = await store.list('allowed_ek', { after, limit: PAGE });
      for (const { key, value } of page) found.set(key, value);
      after = page.length < PAGE ? undefined : page.at(-1)?.key;
    }
  } catch (error) {
    stop();
    throw error;
  }
  take = (commit) => apply(found, commit);
  for (const commit of meanwhile) apply(found, commit);
  return found;
}

function apply(found: Map<string, AllowedEk>, { writes }: Commit): void {
  for (const write of writes) {
    if (write.kind !== 'allowed_ek') continue;
    if ('deleted' in write) found.delete(write.key);
    else found.set(write.key, write.value);
  }
}
