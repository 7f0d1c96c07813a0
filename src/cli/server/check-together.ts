/** What is wrong with the objects of some files together, as far as that can be said without a server. */
import { messageOf } from '../../errors.js';
import { hashOf } from '../../measure/policy/canonical.js';
import type { MeasurementObject } from '../../measure/policy/model.js';
import { type ObjectReference, parseReference } from '../../measure/policy/reference.js';
import { referenceSet } from '../../measure/policy/reference-sources/reference-set.js';
import {
  checkIncludes,
  type Lookup,
  type ObjectKind,
  resolvePolicy,
  type Version,
} from '../../measure/policy/resolve.js';
import { namedBy } from '../../server/policies/shelf.js';

export interface Together {
  /** Objects that are declared twice, rings, and more than is taken. */
  readonly problems: readonly string[];
  /** What is named and not among them: a server has it, or refuses them. */
  readonly missing: readonly string[];
}

export function checkTogether(versions: readonly Version[]): Together {
  const problems = new Set<string>();
  const byName = new Map<string, Version>();
  for (const version of versions) {
    const { kind, name } = version.object;
    if (byName.has(`${kind} ${name}`)) problems.add(`${kind} ${name} is declared twice`);
    byName.set(`${kind} ${name}`, version);
  }
  const find = (kind: ObjectKind, { name, hash }: ObjectReference) => {
    const found = byName.get(`${kind} ${name}`);
    return hash === undefined || found?.hash === hash ? found : undefined;
  };
  for (const version of versions) {
    try {
      follow(version, find);
    } catch (error) {
      problems.add(messageOf(error));
    }
  }
  const missing = versions.flatMap(({ object }) =>
    namedBy(object)
      .filter(({ kind, text }) => find(kind, parseReference(text)) === undefined)
      .map(({ kind, text }) => `${object.kind} ${object.name} names ${kind} ${text}`),
  );
  return { problems: [...problems], missing: [...new Set(missing)] };
}

type Find = (kind: ObjectKind, reference: ObjectReference) => Version | undefined;

/** @throws TouchmarkError `reference_cycle`, `policy_too_large` */
function follow({ object, hash }: Version, find: Find): void {
  // A set that is not here stands for itself, with nothing in it.
  const lookup: Lookup = ((kind: ObjectKind, reference: ObjectReference) =>
    find(kind, reference) ?? elsewhere(reference)) as Lookup;
  if (object.kind === 'ReferenceSet') checkIncludes(object, lookup);
  if (object.kind === 'MeasurementPolicy') resolvePolicy({ object, hash }, lookup);
}

function elsewhere({ name }: ObjectReference): Version {
  const object: MeasurementObject = referenceSet({ name, source: '' }, {});
  return { object, hash: hashOf(object) };
}
