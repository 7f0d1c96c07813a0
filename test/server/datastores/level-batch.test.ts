import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Write } from '../../../src/server/datastores/contract.js';
import { stageGroup } from '../../../src/server/datastores/level-batch.js';

const head = { format: 1, epoch: 'e', revision: 4, sum: '00'.repeat(32) };

/** Turns of the event loop that others have while records of so many bytes are staged. */
async function turnsFor(records: number, bytes: number) {
  let turns = 0;
  let over = false;
  const count = () => {
    turns += 1;
    if (!over) setImmediate(count);
  };
  setImmediate(count);
  const writes = Array.from(
    { length: records },
    (_, n): Write => ({ kind: 'meta', key: String(n), value: { value: 'x'.repeat(bytes) } }),
  );
  const staged = await stageGroup([{ writes, conditions: [] }], new Map(), head);
  over = true;
  assert.equal(staged.head.revision, 5);
  assert.equal(staged.operations.length, records + 1);
  return turns;
}

test('a commit of many bytes leaves the loop to others, one of few does not wait for them', async () => {
  assert.ok((await turnsFor(64, 256 * 1024)) >= 6);
  assert.equal(await turnsFor(64, 100), 0);
});
