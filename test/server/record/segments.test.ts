import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { limits } from '../../../src/server/record/model.js';
import { firstLine, type RawLine, readLines } from '../../../src/server/record/segments.js';

async function fileOf(t: TestContext, content: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'tm-segments-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const path = join(directory, 'segment');
  await writeFile(path, content);
  return path;
}

async function linesOf(path: string): Promise<RawLine[]> {
  const found: RawLine[] = [];
  for await (const lines of readLines(path)) found.push(...lines);
  return found;
}

test('lines that an older server wrote longer than any is written now are read, wherever a piece of the file ends', async (t) => {
  const long = 'l'.repeat(200_000);
  const path = await fileOf(t, `${long}\n${long}\n${long}\nshort\n`);
  const lines = await linesOf(path);
  assert.deepEqual(
    lines.map(({ bytes, offset, whole }) => [bytes.length, offset, whole]),
    [
      [200_000, 0, true],
      [200_000, 200_001, true],
      [200_000, 400_002, true],
      [5, 600_003, true],
    ],
  );
  assert.equal((await firstLine(path))?.length, 200_000);
});

test('a line without an end is held to a bound, and is no first line', async (t) => {
  const path = await fileOf(t, 'x'.repeat(3 * limits.readLine));
  const [line, ...more] = await linesOf(path);
  assert.equal(more.length, 0);
  assert.ok(line?.whole === false && line.bytes.length < 2 * limits.readLine);
  assert.equal(await firstLine(path), undefined);
  assert.equal(await firstLine(await fileOf(t, '')), undefined);
});
