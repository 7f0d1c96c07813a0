import { compileGlob, isWild } from '../policy/glob.js';
import type { FileReference, ReferenceSet, RuntimeRule } from '../policy/model.js';

/** Where the agent's package puts what it runs. */
export const AGENT_PREFIX = '/usr/lib/touchmark/';

/** The agent's own files as reference sets list them. */
export interface AgentFiles {
  /**
   * Paths (or globs) of one reference set or of the policy itself: sets are versions of the package, and a host runs one
   * of them. Empty: no set names any.
   */
  readonly versions: readonly ReadonlySet<string>[];
  /** The paths of references that a file at this path answers to. */
  namesOf(path: string): readonly string[];
}

export function agentFiles(sets: readonly ReferenceSet[], rule: RuntimeRule | undefined): AgentFiles {
  const versions = [...sets.map(({ files }) => files), rule?.accept ?? []]
    .map(agentPaths)
    .filter(({ size }) => size > 0);
  const names = new Set(versions.flatMap((paths) => [...paths]));
  const globs = [...names].filter(isWild).map((name) => ({ name, matches: compileGlob(name) }));
  return {
    versions,
    namesOf: (path) => [
      ...(names.has(path) ? [path] : []),
      ...globs.filter(({ matches }) => matches(path)).map(({ name }) => name),
    ],
  };
}

function agentPaths(files: readonly FileReference[]): Set<string> {
  return new Set(files.map(({ path }) => path).filter((path) => path.startsWith(AGENT_PREFIX)));
}
