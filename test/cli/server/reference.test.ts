import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { hash } from 'node:crypto';
import { chmod, link, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { parse } from 'yaml';
import { program } from '../../../src/cli/server/program.js';
import { agileLog, separators } from '../../support/boot-log-factory.js';
import { imaList, record, sigData } from '../../support/ima-list.js';
import { makePe, makeUki } from '../../support/pe-factory.js';
import { type } from '../type.js';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tm-reference-'));
});
after(() => rm(directory, { recursive: true }));

const create = (...words: string[]) => type(program, ['reference', 'create', ...words]);
const sha256 = (content: string) => `sha256:${hash('sha256', content)}`;
async function file(name: string, content: string | Uint8Array, mode = 0o644): Promise<string> {
  const path = join(directory, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  await chmod(path, mode);
  return path;
}
async function set(...words: string[]) {
  const { code, stdout, stderr } = await create(...words);
  assert.equal(code, 0, stderr);
  return { ...parse(stdout), stderr };
}

const image = makeUki([
  { name: '.linux', content: makePe({ sections: [{ name: '.text', content: 'kernel' }] }) },
  { name: '.osrel', content: 'PRETTY_NAME="Debian 12"\n' },
]);

test('a UKI becomes a manifest in YAML, in JSON, or in a file', async () => {
  const path = await file('debian 12.efi', image);
  const made = await set('--from', 'uki', path);
  assert.deepEqual(
    [made.kind, made.name, made.source, made.ukis[0].label],
    ['ReferenceSet', 'debian-12', 'uki debian 12.efi', 'Debian 12'],
  );
  const json = JSON.parse((await create('--from', 'uki', path, '-output', 'json')).stdout);
  assert.deepEqual(json.ukis, made.ukis);
  const target = join(directory, 'out.yaml');
  const written = await create('--from', 'uki', path, '--name', 'fleet', '-file', target);
  assert.deepEqual([written.code, written.stdout], [0, '']);
  assert.match(written.stderr, /wrote .*out\.yaml/);
  assert.equal(parse(await readFile(target, 'utf8')).name, 'fleet');
});

test('several inputs go into one set', async () => {
  const lists = [imaList(3), Buffer.concat([imaList(1), record('ima-sig', sigData('/opt/x'))])];
  const paths = await Promise.all(lists.map((list, index) => file(`list${index}`, list)));
  const made = await set('--from', 'ima-list', ...paths);
  assert.deepEqual([made.files.length, made.source], [3, 'ima-list list0, list1']);
});

test('a directory: programs by their path on the host, links not followed, data left out', async () => {
  const outside = await file('outside', '#!/bin/sh\n', 0o755);
  const program = await file('root/usr/bin/tool', 'program', 0o755);
  await file('root/usr/lib/libx.so', '\x7fELF');
  await file('root/etc/motd', 'hello');
  await symlink(outside, join(directory, 'root/usr/bin/leads-out'));
  await symlink(directory, join(directory, 'root/usr/loop'));
  await link(program, join(directory, 'root/usr/bin/same'));
  const root = join(directory, 'root');
  const made = await set('--from', 'dir', root, '-root', root);
  assert.deepEqual(made.files, [
    { digest: sha256('program'), path: '/usr/bin/same' },
    { digest: sha256('program'), path: '/usr/bin/tool' },
    { digest: sha256('\x7fELF'), path: '/usr/lib/libx.so' },
  ]);
  const all = await set('--from', 'dir', join(root, 'etc'), '-root', root, '-all');
  assert.deepEqual(all.files, [{ digest: sha256('hello'), path: '/etc/motd' }]);
  const live = await set('--from', 'dir', join(root, 'usr/lib'));
  assert.ok(live.files[0].path.endsWith('/root/usr/lib/libx.so'));
  const none = await create('--from', 'dir', join(root, 'etc'), '-root', root);
  assert.equal(none.code, 1);
  assert.match(none.stderr, /note: etc: no program or library found/);
  assert.match(none.stderr, /dir etc gives nothing that can be a reference/);
  const wrong = await create('--from', 'dir', join(directory, 'root'), '-root', join(directory, 'root/usr'));
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /root is not below -root/);
});

function haveDpkg(t: TestContext): boolean {
  try {
    execFileSync('dpkg-deb', ['--version'], { stdio: 'pipe' });
    return true;
  } catch {
    if (process.env['CI'] === 'true') throw new Error('dpkg-deb is not installed');
    t.skip('dpkg-deb is not installed');
    return false;
  }
}

test('a package, whatever it is compressed with', async (t) => {
  if (!haveDpkg(t)) return;
  const control =
    'Package: tool\nVersion: 1.2-3\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n';
  await file('package/DEBIAN/control', control);
  await file('package/bin/tool', 'big'.repeat(100_000), 0o755);
  await file('package/usr/share/doc/tool/copyright', 'text');
  for (const compression of ['none', 'gzip', 'xz', 'zstd']) {
    const deb = join(directory, `tool-${compression}.deb`);
    execFileSync(
      'dpkg-deb',
      [`-Z${compression}`, '--root-owner-group', '-b', join(directory, 'package'), deb],
      { stdio: 'pipe' },
    );
    const made = await set('--from', 'package', deb);
    assert.deepEqual([made.name, made.description], [`tool-${compression}`, 'tool 1.2-3 all']);
    assert.deepEqual(
      made.files,
      ['/bin/tool', '/usr/bin/tool'].map((path) => ({ digest: sha256('big'.repeat(100_000)), path })),
    );
    assert.equal((await set('--from', 'package', deb, '-all')).files.length, 3);
  }
  const cut = await file('cut.deb', (await readFile(join(directory, 'tool-none.deb'))).subarray(0, 50_000));
  const { code, stderr } = await create('--from', 'package', cut);
  assert.equal(code, 1);
  assert.match(stderr, /cannot read .*cut\.deb with dpkg-deb: .*(unexpected end|error)/);
  assert.match(
    (await create('--from', 'package', await file('no.deb', 'no'))).stderr,
    /cannot read .*no\.deb with dpkg-deb/,
  );
});

test('logs and pcrlock files', async () => {
  const boot = await set('--from', 'boot-log', await file('bios.bin', agileLog(separators())));
  assert.equal(boot.firmware.length, 1);
  const lock = [{ pcr: 4, digests: [{ hashAlg: 'sha256', digest: hash('sha256', 'x') }] }];
  const made = await set('--from', 'pcrlock', await file('650-uki.pcrlock', JSON.stringify(lock)));
  assert.deepEqual([made.name, made.bootChain[0].digest], ['650-uki', sha256('x')]);
  const text =
    '10 2d8d532d463c9f8c205d0df7787669a85f93e260 ima-ng sha1:0000000000000000000000000000000000000000 boot_aggregate\n';
  const odd = await create('--from', 'ima-list', await file('list.txt', text));
  assert.match(odd.stderr, /list\.txt, entry 1: entry "boot_aggregate" is not what its template digest/);
});

test('wrong use is told', async () => {
  const path = await file('x.efi', image);
  assert.equal((await create('--from', 'uki')).code, 2);
  assert.equal((await create('--from', 'nothing', path)).code, 2);
  assert.equal((await create(path)).code, 2);
  const name = await create('--from', 'uki', path, '--name', 'a/b');
  assert.equal(name.code, 2);
  assert.match(name.stderr, /"a\/b" cannot be the name of a set/);
  assert.match((await create('--from', 'uki', '/nonexistent')).stderr, /cannot read \/nonexistent/);
  assert.match((await create('--from', 'dir', '/nonexistent')).stderr, /cannot read \/nonexistent/);
  const target = await create('--from', 'uki', path, '-file', '/nonexistent/x');
  assert.match(target.stderr, /cannot write \/nonexistent\/x/);
});
