/** Which host is judged by what, under a given shelf. Pure. */
import { TouchmarkError } from '../../errors.js';
import { compileGlob } from '../../measure/policy/glob.js';
import type { HostGroup, ResolvedPolicy } from '../../measure/policy/model.js';
import { parseReference } from '../../measure/policy/reference.js';
import { checkIncludes, type Lookup, type Resolution, resolvePolicy } from '../../measure/policy/resolve.js';
import type { InForce } from '../measurements/contract.js';
import { headsOf, lookupIn, type Shelf } from './shelf.js';

type Labels = Readonly<Record<string, string>>;

export interface Assignments {
  /** The group of highest priority that matches, then the first by name. */
  policyFor(labels: Labels): InForce | undefined;
  /** In the order in which they are asked. */
  readonly groups: readonly Assigned[];
}

export interface Assigned {
  readonly hash: string;
  readonly inForce: InForce;
  readonly resolution: Resolution;
  readonly matches: (labels: Labels) => boolean;
}

/**
 * @param before what did not change since is the same object in the result
 * @throws TouchmarkError `reference_missing`, `reference_cycle`, `policy_too_large` when something on the shelf names what
 *   cannot be had
 */
export function assign(shelf: Shelf, before?: Assignments): Assignments {
  const lookup = lookupIn(shelf);
  for (const { object } of headsOf(shelf, 'ReferenceSet')) checkIncludes(object, lookup);
  for (const policy of headsOf(shelf, 'MeasurementPolicy')) resolvePolicy(policy, lookup);
  const old = new Map(before?.groups.map((item) => [item.hash, item]));
  const policies = new Map(before?.groups.map(({ inForce }) => [inForce.policy.id, inForce.policy]));
  const groups = headsOf(shelf, 'HostGroup')
    .sort(({ object: a }, { object: b }) => b.priority - a.priority || (a.name < b.name ? -1 : 1))
    .map(({ hash, object }) => assignGroup(object, hash, lookup, policies, old.get(hash)));
  return { groups, policyFor: (labels) => groups.find(({ matches }) => matches(labels))?.inForce };
}

function assignGroup(
  group: HostGroup,
  hash: string,
  lookup: Lookup,
  known: Map<string, ResolvedPolicy>,
  before: Assigned | undefined,
): Assigned {
  const version = lookup('MeasurementPolicy', parseReference(group.policy));
  if (version === undefined) {
    throw new TouchmarkError(
      'reference_missing',
      `group ${group.name} names the policy ${group.policy}, which does not exist`,
    );
  }
  const { policy, resolution } = resolvePolicy(version, lookup);
  if (before?.inForce.policy.id === policy.id) return before;
  const shared = known.get(policy.id) ?? policy;
  known.set(policy.id, shared);
  return { hash, resolution, inForce: { group, policy: shared }, matches: labelMatcher(group.labels) };
}

function labelMatcher(wanted: Labels): (labels: Labels) => boolean {
  const tests = Object.entries(wanted).map(([key, pattern]) => ({ key, fits: compileGlob(pattern) }));
  return (labels) => tests.every(({ key, fits }) => Object.hasOwn(labels, key) && fits(labels[key] ?? ''));
}

/** Whether the two judge every host alike. */
export function sameAssignments(a: Assignments, b: Assignments): boolean {
  return a.groups.length === b.groups.length && a.groups.every((item, index) => item === b.groups[index]);
}

/** The first moment after `now` at which a window begins or ends; Infinity: none. Unix milliseconds. */
export function nextBoundary({ groups }: Assignments, now: number): number {
  const windows = groups.flatMap(({ inForce: { group, policy } }) => [
    ...group.maintenance,
    ...policy.policy.acceptNext,
  ]);
  const later = windows.flatMap(({ from, until }) => [from, until]).filter((at) => at > now);
  return later.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
}
