/** What is published, or would be: names and the versions that they mean. Values that are never changed. Pure. */
import type { MeasurementObject } from '../../measure/policy/model.js';
import { parseReference } from '../../measure/policy/reference.js';
import type { Lookup, ObjectKind, Version } from '../../measure/policy/resolve.js';
import { headKey, versionKey } from './contract.js';

export interface Shelf {
  /** `headKey` -> hash of the version in force. */
  readonly heads: ReadonlyMap<string, string>;
  /** `versionKey` -> object: at least all that the heads reach. */
  readonly versions: ReadonlyMap<string, MeasurementObject>;
}

export interface ShelfChange {
  readonly put: readonly Version[];
  readonly remove: readonly Pick<MeasurementObject, 'kind' | 'name'>[];
}

export const emptyShelf: Shelf = { heads: new Map(), versions: new Map() };

export function lookupIn({ heads, versions }: Shelf): Lookup {
  const find = (kind: ObjectKind, { name, hash }: { name: string; hash?: string }) => {
    const wanted = hash ?? heads.get(headKey({ kind, name }));
    const object = wanted === undefined ? undefined : versions.get(versionKey({ kind, name }, wanted));
    return wanted === undefined || object === undefined ? undefined : { hash: wanted, object };
  };
  return find as Lookup;
}

/** All objects in force of one kind, by name. */
export function headsOf<K extends ObjectKind>(
  shelf: Shelf,
  kind: K,
): Version<Extract<MeasurementObject, { kind: K }>>[] {
  const lookup = lookupIn(shelf);
  return [...shelf.heads.keys()]
    .filter((key) => key.startsWith(`${kind}/`))
    .sort()
    .flatMap((key) => lookup(kind, { name: key.slice(kind.length + 1) }) ?? []);
}

export function changed(shelf: Shelf, { put, remove }: ShelfChange): Shelf {
  const heads = new Map(shelf.heads);
  const versions = new Map(shelf.versions);
  for (const { object, hash } of put) {
    heads.set(headKey(object), hash);
    versions.set(versionKey(object, hash), object);
  }
  for (const object of remove) heads.delete(headKey(object));
  return { heads, versions };
}

/** Without the versions that no head reaches. */
export function pruned({ heads, versions }: Shelf): Shelf {
  const kept = new Map<string, MeasurementObject>();
  const keep = (key: string) => {
    const object = versions.get(key);
    if (object === undefined || kept.has(key)) return;
    kept.set(key, object);
    for (const { kind, text } of namedBy(object)) {
      const { name, hash } = parseReference(text);
      if (hash !== undefined) keep(versionKey({ kind, name }, hash));
    }
  };
  for (const [key, hash] of heads) keep(`${key}/${hash}`);
  return { heads, versions: kept };
}

/** What an object names, each as it is written. */
export function namedBy(object: MeasurementObject): { kind: ObjectKind; text: string }[] {
  const sets = (names: readonly string[]) => names.map((text) => ({ kind: 'ReferenceSet' as const, text }));
  switch (object.kind) {
    case 'ReferenceSet':
      return sets(object.includes);
    case 'MeasurementPolicy':
      return sets([...object.references, ...object.acceptNext.flatMap(({ references }) => references)]);
    case 'HostGroup':
      return [{ kind: 'MeasurementPolicy', text: object.policy }];
  }
}
