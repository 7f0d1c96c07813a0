import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { readInput, readStream, readText } from '../../src/cli/read-file.js';
import { rejectsCode } from '../support/rejects-async.js';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tm-input-'));
});
after(() => rm(directory, { recursive: true }));

/** What says nothing of its size, like a device or a file of the kernel, and ends after so many bytes. */
function pipe(name: string, bytes: number) {
  const path = join(directory, name);
  execFileSync('mkfifo', [path]);
  const writer = spawn('dd', ['if=/dev/zero', `of=${path}`, 'bs=1000', `count=${bytes / 1000}`], {
    stdio: 'ignore',
  });
  return { path, ended: once(writer, 'exit') };
}

test('a file is read whole up to its bound, and not beyond', async () => {
  const path = join(directory, 'file');
  const bytes = Buffer.alloc(200_000, 'x');
  await writeFile(path, bytes);
  assert.deepEqual(await readInput(path, bytes.length), bytes);
  await rejectsCode('file_unreadable', /larger than 199999 bytes/, readInput(path, bytes.length - 1));
});

test('what comes out of a pipe is read whole', async () => {
  const { path, ended } = pipe('short', 300_000);
  assert.deepEqual(await readInput(path, 300_000), Buffer.alloc(300_000));
  assert.deepEqual(await ended, [0, null]);
});

test('what has no size and no end is left when it exceeds the bound', async () => {
  const { path, ended } = pipe('long', 8_000_000);
  await rejectsCode(
    'file_unreadable',
    /cannot read .*long: .* is larger than 70000 bytes/,
    readInput(path, 70_000),
  );
  assert.deepEqual(await ended, [null, 'SIGPIPE'], 'nobody read on');
});

test('what cannot be opened is told', async () => {
  await rejectsCode('file_unreadable', /cannot read .*none: ENOENT/, readInput(join(directory, 'none')));
});

test('a text comes from a file, or from standard input where the path is a dash', async () => {
  const path = join(directory, 'text');
  await writeFile(path, 'kind: HostGroup\n# ä');
  const stdin = { readStdin: async () => 'from elsewhere' };
  assert.equal(await readText(stdin, path), 'kind: HostGroup\n# ä');
  assert.equal(await readText(stdin, '-'), 'from elsewhere');
  await rejectsCode(
    'file_unreadable',
    /cannot read .*none: ENOENT/,
    readText(stdin, join(directory, 'none')),
  );
  const endless = { readStdin: () => readStream(zeros(), 'standard input', 70_000) };
  await rejectsCode(
    'file_unreadable',
    /^cannot read -: standard input is larger than 70000 bytes/,
    readText(endless, '-'),
  );
});

async function* zeros(): AsyncGenerator<Uint8Array> {
  for (;;) yield new Uint8Array(1000);
}

test('a letter that is cut in two by the chunks of a stream is whole again', async () => {
  const bytes = Buffer.from('ä€');
  async function* pieces() {
    for (const byte of bytes) yield Uint8Array.of(byte);
  }
  assert.equal(await readStream(pieces(), 'it', bytes.length), 'ä€');
});

test('a byte-order mark before what comes through a pipe is no part of it', async () => {
  async function* marked() {
    yield Buffer.from('\ufeff{}');
  }
  assert.equal(await readStream(marked(), 'it'), '{}');
});
