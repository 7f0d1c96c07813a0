/** decode and verify: a manifest as it was read becomes a measurement object, or one is told all that is wrong with it. */
import { nearest } from '../../nearest.js';
import type {
  FileReference,
  HostGroup,
  MeasurementObject,
  MeasurementPolicy,
  ReferenceSet,
} from './model.js';
import { type ManifestProblem, problemsError } from './problem.js';
import { groupProblems, patternProblems, policyProblems, setProblems } from './sense.js';
import { isLarge, shown, validateShape } from './validate.js';
import { readTime, type WrittenWindow, windowProblems, writeTime } from './windows.js';

type Kind = MeasurementObject['kind'];
type Manifest = Record<string, unknown>;

export const kinds: readonly Kind[] = ['MeasurementPolicy', 'ReferenceSet', 'HostGroup'];

export type Examined =
  | { readonly object: MeasurementObject }
  | { readonly problems: readonly ManifestProblem[] };

/**
 * Says nothing about the names that the object refers to: whether they exist is for `resolvePolicy`.
 * @throws TouchmarkError `manifest_invalid`, `glob_invalid`, `policy_checks_nothing`: the code of the first problem, the
 *   message with all of them
 */
export function checkManifest(value: unknown): MeasurementObject {
  const examined = examineManifest(value);
  if ('object' in examined) return examined.object;
  const { kind, name } = (typeof value === 'object' && value !== null ? value : {}) as Manifest;
  const title = [kind, name].filter((part) => typeof part === 'string').map((part) => part.slice(0, 80));
  throw problemsError(title.length === 0 ? 'manifest' : title.join(' '), examined.problems);
}

/** With every problem and its place; defaults filled in, lists in one order. */
export function examineManifest(value: unknown): Examined {
  const bad = (message: string, path: (string | number)[] = []): Examined => ({
    problems: [{ code: 'manifest_invalid', path, message }],
  });
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return bad(`a manifest is a mapping, not ${shown(value)}`);
  }
  const { kind } = value as Manifest;
  const known = kinds.find((candidate) => candidate === kind);
  if (known === undefined) {
    if (kind === undefined) return bad(`is missing; one of ${kinds.join(', ')}`, ['kind']);
    return bad(`${shown(kind)} is none of ${kinds.join(', ')}${nearest(String(kind), kinds)}`, ['kind']);
  }
  const manifest = copyOf(value);
  if (manifest === undefined) return bad('holds what JSON cannot say, or is nested too deep');
  const problems = validateShape(known, manifest);
  if (problems.length > 0) return { problems: [...problems, ...problemsBeside(known, manifest, problems)] };
  return examineSense(known, manifest);
}

/** No manifest nests half as deep; whether engines copy what nests deeper differs. */
const MOST_DEPTH = 32;

/** undefined for what JSON cannot say: cycles among it. */
function copyOf(value: object): Manifest | undefined {
  try {
    const copy: Manifest = JSON.parse(JSON.stringify(value));
    return isDeeper(copy, MOST_DEPTH) ? undefined : copy;
  } catch {
    return undefined;
  }
}

/** @param value a tree */
function isDeeper(value: unknown, most: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return most === 0 || Object.values(value).some((member) => isDeeper(member, most - 1));
}

/** The shape is right from here on: the types of the schema are those of the model, but for times. */
function examineSense(kind: Kind, manifest: Manifest): Examined {
  switch (kind) {
    case 'HostGroup': {
      const { maintenance } = manifest as { maintenance: WrittenWindow[] };
      const windows = windowProblems('maintenance', maintenance);
      const object = { ...manifest, maintenance: maintenance.map(timed) } as unknown as HostGroup;
      return outcome(object, [...windows, ...groupProblems(object)]);
    }
    case 'MeasurementPolicy': {
      const { acceptNext } = manifest as { acceptNext: WrittenWindow[] };
      const windows = windowProblems('acceptNext', acceptNext);
      const object = { ...manifest, acceptNext: acceptNext.map(timed) } as unknown as MeasurementPolicy;
      return outcome(object, [...windows, ...policyProblems(object)]);
    }
    case 'ReferenceSet': {
      const object = manifest as unknown as ReferenceSet;
      return outcome({ ...object, files: sortedFiles(object.files) }, setProblems(object));
    }
  }
}

/** So that every mistake is told at once: what else is wrong with the parts that have the right shape. */
function problemsBeside(
  kind: Kind,
  manifest: Manifest,
  problems: readonly ManifestProblem[],
): ManifestProblem[] {
  // Of a large manifest one mistake is looked for: whether the rest has its shape is not known.
  if (isLarge(manifest)) return [];
  const broken = new Set(problems.map(({ path }) => path[0]));
  const rest = Object.fromEntries(Object.entries(manifest).filter(([key]) => !broken.has(key)));
  const { maintenance = [], acceptNext = [] } = rest as Record<string, WrittenWindow[] | undefined>;
  switch (kind) {
    case 'HostGroup':
      return [...windowProblems('maintenance', maintenance), ...groupProblems(rest)];
    case 'MeasurementPolicy':
      return [...windowProblems('acceptNext', acceptNext), ...patternProblems(rest)];
    case 'ReferenceSet':
      return setProblems(rest);
  }
}

function outcome(object: MeasurementObject, problems: readonly ManifestProblem[]): Examined {
  return problems.length > 0 ? { problems } : { object };
}

function timed<W extends WrittenWindow>(
  window: W,
): Omit<W, 'from' | 'until'> & { from: number; until: number } {
  return { ...window, from: readTime(window.from), until: readTime(window.until) };
}

/** The same files in whatever order they were found give the same content, and so the same hash. */
function sortedFiles(files: readonly FileReference[]): FileReference[] {
  const byKey = new Map(files.map(({ digest, path }) => [`${digest} ${path}`, { digest, path }]));
  return [...byKey.keys()].sort().flatMap((key) => byKey.get(key) ?? []);
}

/** An object as a manifest says it; `checkManifest` gives the same object again. */
export function toManifest(object: MeasurementObject): Record<string, unknown> {
  const written = ({ from, until, ...rest }: { from: number; until: number }) => ({
    ...rest,
    from: writeTime(from),
    until: writeTime(until),
  });
  switch (object.kind) {
    case 'HostGroup':
      return { ...object, maintenance: object.maintenance.map(written) };
    case 'MeasurementPolicy':
      return { ...object, acceptNext: object.acceptNext.map(written) };
    case 'ReferenceSet':
      return { ...object };
  }
}
