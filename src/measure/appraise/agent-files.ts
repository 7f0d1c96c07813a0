import { compileGlob, isWild } from '../policy/glob.js';
import type { Digest, FileReference, ReferenceSet, RuntimeRule } from '../policy/model.js';

/** Where the agent's package puts what it runs. */
export const AGENT_PREFIX = '/usr/lib/touchmark/';

/** The agent's own files as reference sets list them. */
export interface AgentFiles {
  /**
   * Paths and globs of the version that comes nearest to what was seen, of which nothing was: references of one reference set
   * or of the policy itself are a version of the package, and a host runs one of them, one file of each path. Undefined: no
   * set names any.
   * @param seen references that files of the list answer to; never changed, but replaced by a longer one
   */
  missing(seen: ReadonlySet<string>): readonly string[] | undefined;
  /** The references that a file of this digest at this path answers to. */
  answeredBy(digest: Digest, path: string): readonly string[];
}

/** Each reference as digest and path: what is accepted elsewhere is not the agent. */
type AgentVersion = ReadonlyMap<string, readonly string[]>;

export function agentFiles(sets: readonly ReferenceSet[], rule: RuntimeRule | undefined): AgentFiles {
  const rows = [...sets.map(({ files }) => files), rule?.accept ?? []].map(ownOf);
  const matchers = new Map(rows.flat().map(({ path }) => [path, matcherOf(path)]));
  const byDigest = grouped(rows.flat(), ({ digest }) => digest);
  const versions = rows.filter(({ length }) => length > 0).map(versionOf);
  // A host's set is the same from tick to tick, and there may be hundreds of files.
  const found = new WeakMap<ReadonlySet<string>, readonly string[]>();
  return {
    missing: (seen) => {
      const missing = found.get(seen) ?? leastMissing(versions, seen);
      if (missing) found.set(seen, missing);
      return missing;
    },
    answeredBy: (digest, path) =>
      (byDigest.get(digest) ?? []).filter((one) => matchers.get(one.path)?.(path)).map(keyOf),
  };
}

function leastMissing(
  versions: readonly AgentVersion[],
  seen: ReadonlySet<string>,
): readonly string[] | undefined {
  return versions
    .map((version) => [...version].flatMap(([path, any]) => (any.some((one) => seen.has(one)) ? [] : [path])))
    .sort((a, b) => a.length - b.length)[0];
}

function ownOf(files: readonly FileReference[]): FileReference[] {
  return files.filter(({ path }) => path.startsWith(AGENT_PREFIX));
}

function versionOf(files: readonly FileReference[]): AgentVersion {
  return new Map([...grouped(files, ({ path }) => path)].map(([path, rows]) => [path, rows.map(keyOf)]));
}

function grouped(
  files: readonly FileReference[],
  by: (file: FileReference) => string,
): Map<string, FileReference[]> {
  const groups = new Map<string, FileReference[]>();
  for (const file of files) {
    const known = groups.get(by(file));
    if (known) known.push(file);
    else groups.set(by(file), [file]);
  }
  return groups;
}

function matcherOf(path: string): (text: string) => boolean {
  return isWild(path) ? compileGlob(path) : (text) => text === path;
}

function keyOf({ digest, path }: FileReference): string {
  return `${digest} ${path}`;
}
