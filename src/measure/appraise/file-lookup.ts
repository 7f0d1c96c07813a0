import type { ImaFileDigest } from '../ima/ima-template.js';
import { compileGlob } from '../policy/glob.js';
import type { FileReference, ReferenceSet, RuntimeRule } from '../policy/model.js';
import { latin1 } from './digest-text.js';

type Matcher = (path: string) => boolean;

export interface FileLookup {
  /** Whether a file of this content may lie at this path. */
  accepts(digest: ImaFileDigest, path: string): boolean;
  /** Whether some content is accepted at exactly this path. */
  knowsPath(path: string): boolean;
  /** Whether the policy leaves what lies there unjudged. */
  excludes(path: string): boolean;
}

/** Paths at which a content may lie: nearly always one; empty: anywhere. */
type Places = string | readonly string[];

const wild = /[*?]/;
const digestForm = /^(verity:)?([a-z0-9-]+):([0-9a-f]+)$/;

export function fileLookup(sets: readonly ReferenceSet[], rule: RuntimeRule | undefined): FileLookup {
  const places = digestMap<Places>();
  const globs = new Map<string, Matcher>();
  const paths = new Set<string>();
  for (const { digest, path } of everyFile(sets, rule)) {
    places.update(digest, (known) => withPlace(known, path));
    if (!wild.test(path)) paths.add(path);
    else if (!globs.has(path)) globs.set(path, compileGlob(path));
  }
  const matches = (place: string, path: string) =>
    place === '' || place === path || globs.get(place)?.(path) === true;
  const excludes = (rule?.exclude ?? []).map(compileGlob);
  return {
    accepts: (digest, path) => {
      const found = places.get(digest);
      if (found === undefined) return false;
      return typeof found === 'string' ? matches(found, path) : found.some((place) => matches(place, path));
    },
    knowsPath: (path) => paths.has(path),
    excludes: (path) => excludes.some((glob) => glob(path)),
  };
}

export function* everyFile(
  sets: readonly ReferenceSet[],
  rule: RuntimeRule | undefined,
): Generator<FileReference> {
  for (const { files } of sets) yield* files;
  yield* rule?.accept ?? [];
}

function withPlace(known: Places | undefined, path: string): Places {
  if (known === undefined || known === '' || known === path) return known ?? path;
  if (path === '') return '';
  if (typeof known === 'string') return [known, path];
  return known.includes(path) ? known : [...known, path];
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
