/** Versions that were published once and are kept, in force or not. */
import { TouchmarkError } from '../../errors.js';
import type { MeasurementObject } from '../../measure/policy/model.js';
import type { Datastore } from '../datastores/contract.js';
import type { MeasureObjectRecord } from '../model.js';
import { versionKey } from './contract.js';

type Named = Pick<MeasurementObject, 'kind' | 'name'>;

/** One may hold tens of megabytes. */
const PAGE = 4;

/** Of one name, in the order of their hashes. @param prefix of the hash */
export async function* keptVersions(
  store: Pick<Datastore, 'list'>,
  object: Named,
  prefix = '',
): AsyncGenerator<MeasureObjectRecord> {
  const start = versionKey(object, prefix);
  for (let after: string | undefined = start; after !== undefined; ) {
    const page: Awaited<ReturnType<typeof store.list<'measure_object'>>> = await store.list(
      'measure_object',
      {
        after,
        limit: PAGE,
      },
    );
    const own = page.filter(({ key }) => key.startsWith(start));
    for (const { value } of own) yield value;
    after = own.length < PAGE ? undefined : own.at(-1)?.key;
  }
}

/**
 * The version of a hash, or of the beginning of one.
 * @throws TouchmarkError `argument_invalid` when several versions begin so
 */
export async function keptVersion(
  store: Pick<Datastore, 'get' | 'list'>,
  object: Named,
  hash: string,
): Promise<MeasureObjectRecord | undefined> {
  const whole = (await store.get('measure_object', versionKey(object, hash)))?.value;
  if (whole !== undefined || !/^[0-9a-f]{4,63}$/.test(hash)) return whole;
  let found: MeasureObjectRecord | undefined;
  for await (const version of keptVersions(store, object, hash)) {
    if (found !== undefined) {
      throw new TouchmarkError('argument_invalid', `several versions of ${object.name} begin with ${hash}`);
    }
    found = version;
  }
  return found;
}
