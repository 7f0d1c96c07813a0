import type { ImaFileDigest } from '../ima/ima-template.js';
import { compileGlob, isWild, type Matches } from '../policy/glob.js';
import type { FileReference, ReferenceSet, RuntimeRule } from '../policy/model.js';
import { latin1 } from './digest-text.js';

export interface FileLookup {
  /** Whether a file of this content may lie at this path. */
  accepts(digest: ImaFileDigest, path: string): boolean;
  /** Whether some content is accepted at exactly this path. */
  knowsPath(path: string): boolean;
  /** Whether the policy leaves what lies there unjudged. */
  excludes(path: string): boolean;
}

/** Where a content may lie: nearly always one path, and empty for anywhere; an empty file lies at thousands. */
type Places = string | { readonly exact: Set<string>; readonly wild: Set<string> };

const digestForm = /^(verity:)?([a-z0-9-]+):([0-9a-f]+)$/;

export function fileLookup(sets: readonly ReferenceSet[], rule: RuntimeRule | undefined): FileLookup {
  const places = digestMap<Places>();
  const paths = new Set<string>();
  for (const { digest, path } of everyFile(sets, rule)) {
    places.update(digest, (known) => withPlace(known, path));
    if (!isWild(path)) paths.add(path);
  }
  const matches = globMatcher();
  const excludes = (rule?.exclude ?? []).map(compileGlob);
  return {
    accepts: (digest, path) => {
      const found = places.get(digest);
      if (found === undefined) return false;
      if (typeof found === 'string') return found === '' || found === path || matches(found, path);
      if (found.exact.has(path)) return true;
      for (const place of found.wild) if (matches(place, path)) return true;
      return false;
    },
    knowsPath: (path) => paths.has(path),
    excludes: (path) => excludes.some((glob) => glob(path)),
  };
}

/** Of the patterns of a large set a host shows a few: each is made ready when it is first asked. */
function globMatcher(): (place: string, path: string) => boolean {
  const globs = new Map<string, Matches>();
  return (place, path) => {
    if (!isWild(place)) return false;
    const known = globs.get(place);
    if (known !== undefined) return known(path);
    const glob = compileGlob(place);
    globs.set(place, glob);
    return glob(path);
  };
}

export function* everyFile(
  sets: readonly ReferenceSet[],
  rule: RuntimeRule | undefined,
): Generator<FileReference> {
  for (const { files } of sets) yield* files;
  yield* rule?.accept ?? [];
}

/** In place: a copy for each further path would make what the paths of one content cost grow with their square. */
function withPlace(known: Places | undefined, path: string): Places {
  if (known === undefined || known === '' || known === path) return known ?? path;
  if (path === '') return '';
  const places = typeof known === 'string' ? { exact: new Set<string>(), wild: new Set<string>() } : known;
  for (const one of typeof known === 'string' ? [known, path] : [path]) {
    (isWild(one) ? places.wild : places.exact).add(one);
  }
  return places;
}

/** Keyed by the bytes of digests: no entry of a list has to be written as hex to be looked up. */
function digestMap<Value>() {
  const byKind = new Map<string, Map<string, Value>>();
  const rows = (kind: string) => {
    const known = byKind.get(kind) ?? new Map<string, Value>();
    byKind.set(kind, known);
    return known;
  };
  return {
    get: ({ of, algorithm, digest }: ImaFileDigest): Value | undefined =>
      byKind.get(of === 'file' ? algorithm : `verity:${algorithm}`)?.get(latin1(digest)),
    update: (text: string, change: (known: Value | undefined) => Value): void => {
      const match = digestForm.exec(text);
      if (!match) return;
      const [, verity = '', algorithm = '', hex = ''] = match;
      const into = rows(verity + algorithm);
      const key = Buffer.from(hex, 'hex').toString('latin1');
      into.set(key, change(into.get(key)));
    },
  };
}
