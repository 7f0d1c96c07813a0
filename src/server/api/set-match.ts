import { TouchmarkError } from '../../errors.js';

/** How a set of a record is compared to the set that a filter names; the numbers are SPIRE's MatchBehavior. */
export const matchBehaviour = { exact: 0, subset: 1, superset: 2, any: 3 } as const;

/** @returns whether the record's set passes; `subset`: it lies within the filter's, `superset`: it holds all of the filter's */
export type SetMatcher = (actual: readonly string[]) => boolean;

/**
 * @param field names the filter in the refusal
 * @throws TouchmarkError `argument_invalid` for an empty set or a behaviour that does not exist
 */
export function setMatcher(field: string, wanted: readonly string[], behaviour: number): SetMatcher {
  if (wanted.length === 0)
    throw new TouchmarkError('argument_invalid', `${field} names nothing to compare with`);
  const set = new Set(wanted);
  const shared = (actual: readonly string[]) => {
    let count = 0;
    for (const item of new Set(actual)) if (set.has(item)) count += 1;
    return count;
  };
  switch (behaviour) {
    case matchBehaviour.exact:
      return (actual) => new Set(actual).size === set.size && shared(actual) === set.size;
    case matchBehaviour.subset:
      return (actual) => actual.every((item) => set.has(item));
    case matchBehaviour.superset:
      return (actual) => shared(actual) === set.size;
    case matchBehaviour.any:
      return (actual) => shared(actual) > 0;
    default:
      throw new TouchmarkError('argument_invalid', `${field} has the unknown match behaviour ${behaviour}`);
  }
}
