import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import { compileGlob } from '../../../../src/measure/policy/glob.js';
import {
  type FoundFile,
  fileReferences,
  isCode,
} from '../../../../src/measure/policy/reference-sources/file-source.js';
import { throwsCode } from '../../../support/rejects.js';

const about = { name: 'set', source: 'dir x' };
const file = (path: string | Uint8Array, content = 'data', mode = 0o644): FoundFile => ({
  path: Buffer.from(path),
  mode,
  head: Buffer.from(content).subarray(0, 64),
  sha256: hash('sha256', content, 'buffer'),
});
const rows = (found: readonly FoundFile[], all = true) =>
  fileReferences(about, found, all).set.files.map(({ path }) => path);

test('code is what is run, mapped or loaded', () => {
  const code = [
    file('/opt/run', 'x', 0o755),
    file('/usr/lib/libc.so.6', '\x7fELF..'),
    file('/opt/script', '#!/usr/bin/env python3'),
    file('/usr/lib/modules/6.1/a.ko'),
    file('/lib/modules/6.1/a.ko.xz'),
    file('/usr/lib/firmware/iwlwifi.ucode'),
    file('/lib/firmware/x.bin'),
  ];
  const data = [
    file('/etc/passwd'),
    file('/usr/share/doc/x.ko.txt'),
    file('/srv/lib/firmware/x'),
    file('/e', ''),
  ];
  assert.deepEqual([...code, ...data].map(isCode), [...code.map(() => true), ...data.map(() => false)]);
  assert.deepEqual(rows([...data, ...code.slice(0, 1)], false), ['/opt/run']);
});

test('a file is accepted by its digest at its path, and at the path under /usr too', () => {
  const { set, notes } = fileReferences(about, [
    file('/bin/ls', 'ls', 0o755),
    file('/usr/bin/id', 'id', 0o755),
  ]);
  assert.deepEqual(set.files, [
    { digest: `sha256:${hash('sha256', 'ls')}`, path: '/bin/ls' },
    { digest: `sha256:${hash('sha256', 'id')}`, path: '/usr/bin/id' },
    { digest: `sha256:${hash('sha256', 'ls')}`, path: '/usr/bin/ls' },
  ]);
  assert.deepEqual([set.kind, set.name, set.source, notes], ['ReferenceSet', 'set', 'dir x', []]);
  assert.deepEqual(rows([file('/binary/x'), file('/lib64/ld.so')]), [
    '/binary/x',
    '/lib64/ld.so',
    '/usr/lib64/ld.so',
  ]);
});

test('a hostile name is a pattern of itself: on one line, without stars, as IMA measures it', () => {
  const [star, space, bytes] = rows([
    file('/a/**/x'),
    file('/b c'),
    file(Buffer.from([0x2f, 0x7a, 0xff, 0x0a])),
  ]);
  assert.deepEqual([star, space, bytes], ['/a/??/x', '/b?c', '/z\\xff\\x0a']);
  const matches = compileGlob(star ?? '');
  assert.deepEqual([matches('/a/**/x'), matches('/a/b/c/x')], [true, false]);
  assert.ok(compileGlob(space ?? '')('/b_c'));
});

test('what cannot be a reference is told', () => {
  const { set, notes } = fileReferences(about, [file(`/${'n'.repeat(1024)}`)], true);
  assert.deepEqual(set.files, []);
  assert.deepEqual(notes, [
    'dir x: 1 files left out: their path is too long to be a pattern',
    'dir x: no file found',
  ]);
  assert.deepEqual(fileReferences(about, [file('/etc/passwd')]).notes, [
    'dir x: no program or library found',
  ]);
});

test('the same file is in a set once, and a set has an end', () => {
  assert.equal(rows([file('/a'), file('/a')]).length, 1);
  function* many() {
    for (let n = 0; n <= 200_000; n++) yield file(`/${n}`);
  }
  throwsCode('reference_source_too_large', /dir x has more than 200000 files/, () =>
    fileReferences(about, many(), true),
  );
});
