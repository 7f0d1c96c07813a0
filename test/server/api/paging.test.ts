import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readPage } from '../../../src/server/api/paging.js';

function source(keys: readonly string[]) {
  return async ({ after = '', limit }: { after?: string; limit: number }) =>
    keys
      .filter((key) => key > after)
      .slice(0, limit)
      .map((key) => ({ key }));
}

const keysUpTo = (count: number) => Array.from({ length: count }, (_, at) => String(at).padStart(5, '0'));

test('pages hold everything once, in order, and end in an empty token', async () => {
  const counts = fc.integer({ min: 0, max: 1300 });
  await fc.assert(
    fc.asyncProperty(
      counts,
      fc.integer({ min: 1, max: 700 }),
      fc.integer({ min: 1, max: 5 }),
      async (count, size, every) => {
        const keys = keysUpTo(count);
        const wanted = keys.filter((key) => Number(key) % every === 0);
        const seen: string[] = [];
        let token = '';
        do {
          const page = await readPage({ size, token }, source(keys), ({ key }) =>
            wanted.includes(key) ? key : undefined,
          );
          assert.ok(page.items.length <= size);
          if (page.nextToken !== '') assert.equal(page.items.length, size);
          seen.push(...page.items);
          token = page.nextToken;
        } while (token !== '');
        assert.deepEqual(seen, wanted);
      },
    ),
    { numRuns: 40 },
  );
});

test('a page size of zero gives everything at once', async () => {
  const page = await readPage({ size: 0, token: '' }, source(keysUpTo(1200)), ({ key }) => key);
  assert.equal(page.items.length, 1200);
  assert.equal(page.nextToken, '');
});

test('a page that is exactly full is the last one', async () => {
  const page = await readPage({ size: 500, token: '' }, source(keysUpTo(500)), ({ key }) => key);
  assert.equal(page.items.length, 500);
  assert.equal(page.nextToken, '');
});

test('a negative size and an endless token are refused', async () => {
  const read = (size: number, token: string) => readPage({ size, token }, source([]), ({ key }) => key);
  await assert.rejects(read(-1, ''), { code: 'argument_invalid', message: 'page_size -1 is below zero' });
  await assert.rejects(read(1, 'x'.repeat(3000)), { code: 'argument_invalid', message: /^page_token/ });
});
