/** What many hosts showed, joined one by one: each thing once, with how many hosts showed it. Pure. */
import type { DigestReference, FileReference } from '../../measure/policy/model.js';
import {
  digestLists,
  MAX_FILES,
  type MadeReferences,
  type ReferenceAbout,
  referenceSet,
  sortedFiles,
  tooMany,
  tooManyFiles,
} from '../../measure/policy/reference-sources/reference-set.js';

export interface Gathering {
  /** @throws TouchmarkError `reference_source_too_large` as soon as there is too much for one set */
  add(shown: readonly MadeReferences[]): void;
  /** What at least so many hosts showed. */
  set(about: ReferenceAbout, least: number): MadeReferences['set'];
}

/** Things that are remembered, those that too few hosts showed among them: some hundred megabytes. */
const MAX_THINGS = 2 * MAX_FILES;

interface Counted<Row> {
  readonly row: Row;
  hosts: number;
  /** The last host that showed it: one that shows it twice counts once. */
  last: number;
}

export function gathering(source: string): Gathering {
  const digests = new Map(digestLists.map((list) => [list, new Map<string, Counted<DigestReference>>()]));
  const files = new Map<string, Counted<FileReference>>();
  let added = 0;
  return {
    add(shown) {
      added++;
      for (const { set } of shown) {
        for (const [list, rows] of digests) count(rows, added, set[list], ({ digest }) => digest);
        count(files, added, set.files, ({ digest, path }) => `${digest} ${path}`);
      }
      const things = [...digests.values()].reduce((sum, { size }) => sum + size, files.size);
      if (things > MAX_THINGS) throw tooMany(source, MAX_THINGS, 'different measurements to look through');
    },
    set(about, least) {
      const parts = [...digests].map(([list, rows]) => [list, shownBy(rows, least)]);
      const chosen = sortedFiles(shownBy(files, least));
      if (chosen.length > MAX_FILES) throw tooManyFiles(source);
      return referenceSet(about, { ...Object.fromEntries(parts), files: chosen });
    },
  };
}

function count<Row>(
  rows: Map<string, Counted<Row>>,
  host: number,
  shown: readonly Row[],
  keyOf: (row: Row) => string,
): void {
  for (const row of shown) {
    const key = keyOf(row);
    const known = rows.get(key);
    if (known === undefined) rows.set(key, { row, hosts: 1, last: host });
    else if (known.last !== host) {
      known.hosts++;
      known.last = host;
    }
  }
}

function shownBy<Row>(rows: ReadonlyMap<string, Counted<Row>>, least: number): Row[] {
  return [...rows.values()].filter(({ hosts }) => hosts >= least).map(({ row }) => row);
}
