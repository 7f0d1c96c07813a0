import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import { TouchmarkError } from '../../../../src/errors.js';
import type { FoundFile } from '../../../../src/measure/policy/reference-sources/file-source.js';
import { TarReader } from '../../../../src/measure/policy/reference-sources/tar-reader.js';
import { throwsCode } from '../../../support/rejects.js';
import { type MadeEntry, tar, tarEntry } from '../../../support/tar-factory.js';

function read(archive: Uint8Array, step = archive.length): FoundFile[] {
  const reader = new TarReader();
  const files: FoundFile[] = [];
  for (let at = 0; at < archive.length; at += step)
    files.push(...reader.push(archive.subarray(at, at + step)));
  reader.end();
  return files;
}

const shown = (files: readonly FoundFile[]) =>
  files.map(({ path, mode, sha256 }) => [String(path), mode, Buffer.from(sha256).toString('hex')]);
const long = `./usr/lib/${'d'.repeat(120)}/file`;
const entries: readonly MadeEntry[] = [
  { name: './', type: '5' },
  { name: './usr/bin/hello', content: 'h'.repeat(1025), mode: 0o755 },
  { name: './usr/bin/empty' },
  { name: './usr/bin/link', type: '2', link: '/etc/passwd' },
  { name: './usr/bin/hard', type: '1', link: './usr/bin/hello' },
  { name: '././@LongLink', type: 'L', content: `${long}\0` },
  { name: long, content: 'far' },
  { name: '././@LongLink', type: 'K', content: `${long}\0` },
  { name: 'usr/bin/far', type: '1', link: long },
  { name: 'bin/tool', prefix: 'opt/app', content: 'x' },
];
const expected = [
  ['/usr/bin/hello', 0o755, hash('sha256', 'h'.repeat(1025))],
  ['/usr/bin/empty', 0o644, hash('sha256', '')],
  ['/usr/bin/hard', 0o755, hash('sha256', 'h'.repeat(1025))],
  [long.slice(1), 0o644, hash('sha256', 'far')],
  ['/usr/bin/far', 0o644, hash('sha256', 'far')],
  ['/opt/app/bin/tool', 0o644, hash('sha256', 'x')],
];

test('regular files and hard links come out with their hashes, in pieces of any size', () => {
  const archive = tar(...entries);
  for (const step of [archive.length, 512, 511, 100, 7])
    assert.deepEqual(shown(read(archive, step)), expected, `${step}`);
});

test('the first bytes are kept, and no more', () => {
  const [file] = read(tar({ name: 'x', content: `#!/bin/sh\n${'y'.repeat(5000)}` }), 3);
  assert.equal(String(file?.head), `#!/bin/sh\n${'y'.repeat(54)}`);
});

test('a name that leads elsewhere is a name and nothing more', () => {
  const [up, root] = read(tar({ name: '../../etc/passwd' }, { name: '//etc/shadow' }));
  assert.deepEqual([String(up?.path), String(root?.path)], ['/../../etc/passwd', '/etc/shadow']);
});

test('a prefix counts in the POSIX form only', () => {
  const [file] = read(tar({ name: 'x', prefix: 'not-a-prefix', magic: 'ustar  \0' }));
  assert.equal(String(file?.path), '/x');
});

test('what is behind the end is not read', () => {
  assert.equal(read(Buffer.concat([tar({ name: 'a' }), tarEntry({ name: 'b' })])).length, 1);
});

test('other formats, wrong sums and cut archives are refused', () => {
  const refused = (message: RegExp, archive: Uint8Array) =>
    throwsCode('reference_source_invalid', message, () => read(archive));
  refused(/^the archive is cut off$/, tarEntry({ name: 'x', content: 'x' }));
  refused(/^the archive is cut off$/, tar({ name: 'x', content: 'x'.repeat(9000) }).subarray(0, 3000));
  refused(
    /has an entry of type "x", which is not read/,
    tar({ name: 'pax', type: 'x', content: '9 size=1\n' }),
  );
  refused(/has an entry of type "S"/, tar({ name: 'sparse', type: 'S' }));
  refused(/a hard link to an entry that does not come before it/, tar({ name: 'a', type: '1', link: 'b' }));
  refused(/a number "1x" that is not octal/, tar({ name: 'a', size: '1x' }));
  refused(/a name of 65537 bytes/, tar({ name: 'l', type: 'L', content: Buffer.alloc(65537, 'n') }));
  const broken = tar({ name: 'a' });
  broken[0] = 0x62;
  refused(/has a header whose sum is wrong/, broken);
});

test('mutated archives are read or refused', () => {
  const archive = tar(...entries);
  let refused = 0;
  for (let round = 0; round < 2000; round++) {
    const copy = Buffer.from(archive);
    const at = (round * 7919) % (archive.length - 6000);
    copy[at] = (copy[at] ?? 0) ^ (1 << (round % 8));
    try {
      read(copy);
    } catch (error) {
      assert.ok(error instanceof TouchmarkError && error.code === 'reference_source_invalid', String(error));
      refused++;
    }
  }
  assert.ok(refused > 500, `${refused} refused`);
});
