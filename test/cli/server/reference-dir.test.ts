import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { hash } from 'node:crypto';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { filesBelow } from '../../../src/cli/server/reference-dir.js';
import { isCode } from '../../../src/measure/policy/reference-sources/file-source.js';
import { rejectsCode } from '../../support/rejects-async.js';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tm-files-'));
});
after(() => rm(directory, { recursive: true }));

const going = () => new AbortController().signal;
const everything = () => true;
async function folder(name: string): Promise<string> {
  const path = join(directory, name);
  await mkdir(path, { recursive: true });
  return path;
}

test('a file of several pieces is hashed whole, and its mode and beginning are told', async () => {
  const top = await folder('large');
  const content = Buffer.alloc(2.5 * 1024 * 1024, 'abc');
  await writeFile(join(top, 'big'), content, { mode: 0o750 });
  const [file, ...others] = await filesBelow(top, top, everything, going());
  assert.deepEqual(others, []);
  assert.equal(String(file?.path), '/big');
  assert.equal(Buffer.from(file?.sha256 ?? []).toString('hex'), hash('sha256', content));
  assert.deepEqual([file?.mode, file?.head.length], [0o750, 64]);
});

test('what was told of one file does not change when the next is read', async () => {
  const top = await folder('several');
  for (const name of ['a', 'b', 'c']) await writeFile(join(top, name), `#!${name}`);
  const files = await filesBelow(top, top, everything, going());
  assert.deepEqual(files.map(({ head }) => String(head)).sort(), ['#!a', '#!b', '#!c']);
});

test('names are bytes: what is not UTF-8 stays what it is', async () => {
  const top = await folder('names');
  const name = Buffer.concat([Buffer.from(`${top}/`), Buffer.from([0x78, 0xff, 0x0a])]);
  await writeFile(name, 'x');
  const [file] = await filesBelow(top, top, everything, going());
  assert.deepEqual([...(file?.path ?? [])], [0x2f, 0x78, 0xff, 0x0a]);
});

test('pipes do not hold it up, links lead nowhere, and what is not wanted is not read on', async () => {
  const top = await folder('odd');
  execFileSync('mkfifo', [join(top, 'pipe')]);
  await symlink('/etc', join(top, 'etc'));
  await symlink('missing', join(top, 'dangling'));
  await writeFile(join(top, 'data'), 'text');
  await writeFile(join(top, 'script'), '#!/bin/sh');
  const files = await filesBelow(top, top, isCode, going());
  assert.deepEqual(
    files.map(({ path }) => String(path)),
    ['/script'],
  );
});

test('a directory that is itself a link is where the link leads', async () => {
  const top = await folder('real');
  await writeFile(join(top, 'x'), 'x');
  await symlink(top, join(directory, 'alias'));
  const [file] = await filesBelow(join(directory, 'alias'), directory, everything, going());
  assert.equal(String(file?.path), '/real/x');
});

test('what is not there, not a directory, or no longer wanted ends it', async () => {
  const top = await folder('ends');
  await writeFile(join(top, 'x'), 'x');
  const below = (path: string, signal = going()) => filesBelow(path, '/', everything, signal);
  await rejectsCode('file_unreadable', /cannot read .*none: ENOENT/, below(join(top, 'none')));
  await rejectsCode('file_unreadable', /cannot read .*x: ENOTDIR/, below(join(top, 'x')));
  await rejectsCode(
    'flag_invalid',
    /is not below -root/,
    filesBelow(top, join(top, '..', 'real'), everything, going()),
  );
  await assert.rejects(below(top, AbortSignal.abort(new Error('stopped'))), /stopped/);
  await rename(join(top, 'x'), join(top, 'y'));
  assert.equal((await below(top)).length, 1);
});
