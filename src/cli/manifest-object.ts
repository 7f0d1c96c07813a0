import { isMap, isScalar, isSeq, type Node, type Pair, type YAMLMap } from 'yaml';
import { examineManifest } from '../measure/policy/check.js';
import type { MeasurementObject } from '../measure/policy/model.js';
import { formatPath, type ManifestProblem } from '../measure/policy/problem.js';
import { type Complain, plain } from './manifest-value.js';

/** A measurement object, checked, and as it was written: the server checks it again. */
export interface ObjectManifest {
  readonly object: MeasurementObject;
  readonly written: unknown;
}

/** One mapping of the kinds of measurement; nothing is added to `into` unless all of it is good. */
export function readObject(map: YAMLMap, complain: Complain, into: ObjectManifest[]): void {
  const written = plain(map);
  const examined = examineManifest(written);
  if ('object' in examined) into.push({ object: examined.object, written });
  else for (const problem of examined.problems) complain(placeOf(map, problem.path), told(problem));
}

/** The same for what was not read as YAML, and has no places. */
export function examinePlain(
  written: unknown,
  complain: (message: string) => void,
  into: ObjectManifest[],
): void {
  const examined = examineManifest(written);
  if ('object' in examined) into.push({ object: examined.object, written });
  else for (const problem of examined.problems) complain(told(problem));
}

function told({ path, message }: ManifestProblem): string {
  return path.length === 0 ? message : `${formatPath(path)}: ${message}`;
}

/** Of the deepest part of the path that is written: its key, or the member of its list. */
function placeOf(root: Node, path: readonly (string | number)[]): number {
  let node: unknown = root;
  let place = root.range?.[0] ?? 0;
  for (const part of path) {
    if (isMap(node)) {
      const pair: Pair | undefined = node.items.find(({ key }) => isScalar(key) && key.value === part);
      if (pair === undefined) break;
      place = (pair.key as Node).range?.[0] ?? place;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(part)];
      place = (node as Node | undefined)?.range?.[0] ?? place;
    } else break;
  }
  return place;
}
