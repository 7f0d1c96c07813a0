import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { readTwice, readUserspaceLog } from '../../../src/host/measurements/read-whole.js';

test('a file is read to its end, and one that is too large or unsteady is refused', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'tm-whole-'));
  t.after(() => rm(directory, { recursive: true }));
  const path = join(directory, 'log');
  await writeFile(path, 'x'.repeat(70_000));
  assert.equal((await readTwice(path, 70_000)).length, 70_000);
  assert.equal((await readUserspaceLog(path, 70_000)).length, 70_000);
  const tooLarge = {
    code: 'log_unreadable',
    message: `${path} has more than 69999 bytes, which no such log has`,
  };
  await assert.rejects(readTwice(path, 69_999), tooLarge);
  await assert.rejects(readUserspaceLog(path, 69_999), tooLarge);
  await assert.rejects(readTwice('/proc/sys/kernel/random/uuid', 100), {
    code: 'log_unreadable',
    message: '/proc/sys/kernel/random/uuid read differently each of 4 times',
  });
});
