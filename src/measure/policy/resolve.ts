import { TouchmarkError } from '../../errors.js';
import { canonicalJson, hashOfText } from './canonical.js';
import type { MeasurementObject, MeasurementPolicy, ReferenceSet, ResolvedPolicy } from './model.js';
import { formatReference, type ObjectReference, parseReference } from './reference.js';
import { MAX_STARRED, starredLength } from './starred.js';

export type ObjectKind = MeasurementObject['kind'];

/** One version of an object under the name of its content. */
export interface Version<T extends MeasurementObject = MeasurementObject> {
  readonly hash: string;
  readonly object: T;
}

/** Finds what a name means now, or that very version. */
export type Lookup = <K extends ObjectKind>(
  kind: K,
  reference: ObjectReference,
) => Version<Extract<MeasurementObject, { kind: K }>> | undefined;

const MAX_SETS = 256;
const MAX_DEPTH = 16;
/** Files of all sets together: what one judgement looks things up in. */
export const MAX_RESOLVED_FILES = 400_000;

/** What a policy came to, each as `name@<hash>`: enough to have the same again for as long as the versions are kept. */
export interface Resolution {
  readonly policy: string;
  readonly references: readonly string[];
  readonly next: readonly (readonly string[])[];
}

export interface Resolved {
  readonly policy: ResolvedPolicy;
  readonly resolution: Resolution;
}

/**
 * A policy with every set that it names and that those include, each once. Nothing is said about whether its author was
 * allowed to publish it.
 * @throws TouchmarkError `reference_cycle`, `reference_missing`, `policy_too_large`
 */
export function resolvePolicy(version: Version<MeasurementPolicy>, lookup: Lookup): Resolved {
  const policy = version.object;
  const place = `policy ${policy.name}`;
  const base = collect(policy.references, place, lookup);
  const windows = policy.acceptNext.map(({ references }) => collect(references, place, lookup));
  checkSize(place, [base, ...windows]);
  const resolution: Resolution = {
    policy: exactly(version),
    references: base.map(exactly),
    next: windows.map((sets) => sets.map(exactly)),
  };
  return { resolution, policy: assemble(resolution, policy, objectsOf(base), windows.map(objectsOf)) };
}

/** The very versions that a resolution names. @throws TouchmarkError `reference_missing` */
export function restorePolicy(resolution: Resolution, lookup: Lookup): ResolvedPolicy {
  const find = <K extends ObjectKind>(kind: K, text: string) => {
    const version = lookup(kind, parseReference(text));
    if (version !== undefined) return version.object;
    throw new TouchmarkError('reference_missing', `${kind} ${text} is not kept any more`);
  };
  const sets = (names: readonly string[]) => names.map((name) => find('ReferenceSet', name));
  const policy = find('MeasurementPolicy', resolution.policy);
  return assemble(resolution, policy, sets(resolution.references), resolution.next.map(sets));
}

function assemble(
  resolution: Resolution,
  policy: MeasurementPolicy,
  references: readonly ReferenceSet[],
  windows: readonly (readonly ReferenceSet[])[],
): ResolvedPolicy {
  const next = policy.acceptNext.map(({ from, until }, index) => ({
    references: windows[index] ?? [],
    from,
    until,
  }));
  return { id: hashOfText(canonicalJson(resolution)), policy, references, next };
}

function exactly({ object, hash }: Version): string {
  return formatReference({ name: object.name, hash });
}

const objectsOf = (sets: readonly Version<ReferenceSet>[]) => sets.map(({ object }) => object);

/**
 * Whether what a set includes is there and comes to an end.
 * @throws TouchmarkError `reference_cycle`, `reference_missing`, `policy_too_large`
 */
export function checkIncludes({ name }: ReferenceSet, lookup: Lookup): void {
  checkSize(`reference set ${name}`, [collect([name], '', lookup)]);
}

/** Depth first, in the order in which they are written. */
function collect(names: readonly string[], place: string, lookup: Lookup): Version<ReferenceSet>[] {
  const found = new Map<string, Version<ReferenceSet>>();
  const visit = (text: string, by: string, trail: readonly string[]) => {
    const set = lookup('ReferenceSet', parseReference(text));
    if (set === undefined) {
      throw new TouchmarkError(
        'reference_missing',
        `${by} names the reference set ${text}, which does not exist`,
      );
    }
    const name = set.object.name;
    const ring = trail.indexOf(set.hash);
    if (ring >= 0) throw cycle(trail.slice(ring), set, found);
    if (found.has(set.hash)) return;
    if (trail.length >= MAX_DEPTH) {
      throw new TouchmarkError(
        'policy_too_large',
        `reference set ${name} includes more than ${MAX_DEPTH} deep`,
      );
    }
    found.set(set.hash, set);
    for (const include of set.object.includes) visit(include, `reference set ${name}`, [...trail, set.hash]);
  };
  for (const name of names) visit(name, place, []);
  return [...found.values()];
}

function cycle(
  ring: readonly string[],
  again: Version<ReferenceSet>,
  found: ReadonlyMap<string, Version<ReferenceSet>>,
): TouchmarkError {
  const names = [...ring.map((hash) => found.get(hash)?.object.name ?? hash), again.object.name];
  return new TouchmarkError('reference_cycle', `reference sets include one another: ${names.join(' -> ')}`);
}

function checkSize(place: string, lists: readonly (readonly Version<ReferenceSet>[])[]): void {
  const all = new Map(lists.flat().map((set) => [set.hash, set.object]));
  const sets = [...all.values()];
  const sizes = [
    { size: sets.length, most: MAX_SETS, what: 'reference sets' },
    { size: total(sets, ({ files }) => files.length), most: MAX_RESOLVED_FILES, what: 'files' },
    {
      size: total(sets, ({ files }) => starredLength(files)),
      ...{ most: MAX_STARRED, what: 'characters in patterns of files with stars' },
    },
  ];
  for (const { size, most, what } of sizes) {
    if (size <= most) continue;
    throw new TouchmarkError('policy_too_large', `${place} comes to ${size} ${what}; at most ${most}`);
  }
}

function total(sets: readonly ReferenceSet[], sizeOf: (set: ReferenceSet) => number): number {
  return sets.reduce((sum, set) => sum + sizeOf(set), 0);
}
