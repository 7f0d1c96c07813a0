import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { beginWriter } from '../../../src/server/record/log-writer.js';

test('a file whose name could not be made durable is not left behind, and is begun again', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'tm-writer-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const full = () => Promise.reject(new Error('no space'));
  await assert.rejects(beginWriter(directory, 7, full), { message: 'no space' });
  assert.deepEqual(await readdir(directory), []);
  await using writer = await beginWriter(directory, 7);
  await writer.append([Buffer.from('one')]);
  assert.equal(await readFile(join(directory, '0000000000000007.jsonl'), 'utf8'), 'one\n');
});
