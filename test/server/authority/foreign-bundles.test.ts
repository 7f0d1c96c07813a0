import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readPage } from '../../../src/server/api/paging.js';
import { createBundles } from '../../../src/server/authority/foreign-bundles.js';
import { openRegistry } from '../../../src/server/registry/registry.js';
import { parseTrustDomain } from '../../../src/spiffe/id.js';
import { memoryDatastore } from '../../fakes/memory-datastore.js';

const own = parseTrustDomain('m.org');

async function bundlesOf(domains: readonly string[]) {
  const store = memoryDatastore();
  const bundles = createBundles(store, await openRegistry(store, own), own);
  for (const trustDomain of domains) {
    await bundles.set({
      trustDomain,
      x509Authorities: [],
      jwtAuthorities: [],
      refreshHint: 0,
      sequence: '1',
    });
  }
  return bundles;
}

for (const [where, foreign] of [
  ['the first', ['n.org', 'o.org', 'p.org']],
  ['in the middle', ['a.org', 'b.org', 'n.org', 'o.org']],
  ['the last', ['a.org', 'b.org', 'c.org']],
  ['the only one', []],
] as const) {
  test(`pages are whole where the own domain is ${where}`, async () => {
    const bundles = await bundlesOf([...foreign, own].toSorted());
    for (const limit of [1, 2, 3, 4, 5]) {
      const found: string[] = [];
      for (let after: string | undefined = ''; after !== undefined; ) {
        const page = await bundles.list({ ...(after === '' ? {} : { after }), limit });
        assert.ok(page.length <= limit);
        found.push(...page.map(({ key }) => key));
        after = page.length < limit ? undefined : page.at(-1)?.key;
      }
      assert.deepEqual(found, foreign, `in pages of ${limit}`);
    }
  });
}

test('a listing of more bundles than are read at once leaves none out', async () => {
  const domains = (letter: string, count: number) =>
    Array.from({ length: count }, (_, at) => `${letter}${String(at).padStart(4, '0')}.org`);
  const foreign = [...domains('a', 300), ...domains('z', 800)];
  const bundles = await bundlesOf([...foreign, own]);
  const all = await readPage(
    { size: 0, token: '' },
    (part) => bundles.list(part),
    ({ key }) => key,
  );
  assert.deepEqual(all, { items: foreign, nextToken: '' });
});
