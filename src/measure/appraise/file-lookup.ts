import { compileGlob } from '../policy/glob.js';
import type { Digest, FileReference, ReferenceSet, RuntimeRule } from '../policy/model.js';

type Matcher = (path: string) => boolean;

export interface FileLookup {
  /** Whether a file of this content may lie at this path. */
  accepts(digest: Digest, path: string): boolean;
  /** Whether some content is accepted at exactly this path. */
  knowsPath(path: string): boolean;
  /** Whether the policy leaves what lies there unjudged. */
  excludes(path: string): boolean;
}

const anywhere = true;
const wild = /[*?]/;

export function fileLookup(sets: readonly ReferenceSet[], rule: RuntimeRule | undefined): FileLookup {
  const byDigest = new Map<Digest, typeof anywhere | Set<string>>();
  const globs = new Map<string, Matcher>();
  const paths = new Set<string>();
  for (const { digest, path } of everyFile(sets, rule)) {
    const known = byDigest.get(digest);
    if (path === '') byDigest.set(digest, anywhere);
    else if (known === undefined) byDigest.set(digest, new Set([path]));
    else if (known !== anywhere) known.add(path);
    if (!wild.test(path)) paths.add(path);
    else if (!globs.has(path)) globs.set(path, compileGlob(path));
  }
  const excludes = (rule?.exclude ?? []).map(compileGlob);
  return {
    accepts: (digest, path) => {
      const found = byDigest.get(digest);
      if (found === undefined || found === anywhere) return found === anywhere;
      return found.has(path) || [...found].some((pattern) => globs.get(pattern)?.(path) === true);
    },
    knowsPath: (path) => paths.has(path),
    excludes: (path) => excludes.some((matches) => matches(path)),
  };
}

export function* everyFile(
  sets: readonly ReferenceSet[],
  rule: RuntimeRule | undefined,
): Generator<FileReference> {
  for (const { files } of sets) yield* files;
  yield* rule?.accept ?? [];
}
