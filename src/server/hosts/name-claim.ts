/**
 * One host, one name. A claim is a record beside the hosts, read and written in the batch of every change that gives a name:
 * of two changes that take one name at once, the second is planned again and sees the first.
 */
import { TouchmarkError } from '../../errors.js';
import type { Datastore, Write } from '../datastores/contract.js';
import type { Batch } from './change.js';

export interface NameChange {
  /** Of the host or allowance that has the name `before` (or none), and is to have `after` (or none). */
  readonly id: string;
  readonly before: string;
  readonly after: string;
  /** Another host, which gives the name up in the same batch. */
  readonly from?: string;
}

/**
 * Takes one name and gives another back. A claim whose holder does not have the name any more counts for nothing: an
 * allowance may be used up without a word about its name.
 * @throws TouchmarkError `host_name_taken`
 */
export async function claimName(store: Datastore, change: NameChange): Promise<Batch> {
  const { id, before, after, from } = change;
  const batch: { writes: Write[]; conditions: Batch['conditions'][number][] } = {
    writes: [],
    conditions: [],
  };
  if (before !== '' && before !== after) {
    const key = claimKey(before);
    const claim = await store.get('meta', key);
    if (claim?.value.value === id) {
      batch.writes.push({ kind: 'meta', key, deleted: true });
      batch.conditions.push({ kind: 'meta', key, revision: claim.revision });
    }
  }
  if (after !== '') {
    const key = claimKey(after);
    const claim = await store.get('meta', key);
    const holder = claim?.value.value;
    if (holder !== undefined && holder !== id && holder !== from) await refuseTaken(store, holder, after);
    batch.writes.push({ kind: 'meta', key, value: { value: id } });
    batch.conditions.push({ kind: 'meta', key, revision: claim?.revision ?? 0 });
  }
  return batch;
}

async function refuseTaken(store: Datastore, holder: string, name: string): Promise<void> {
  const [host, allowed] = await Promise.all([store.get('host', holder), store.get('allowed_ek', holder)]);
  if (host?.value.name !== name && allowed?.value.name !== name) return;
  throw new TouchmarkError('host_name_taken', `the name ${JSON.stringify(name)} belongs to host ${holder}`);
}

function claimKey(name: string): string {
  return `host-name/${name}`;
}
