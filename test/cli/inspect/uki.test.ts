import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { program } from '../../../src/cli/touchmark/program.js';
import { makePe, makeUki } from '../../support/pe-factory.js';
import { type } from '../type.js';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tm-uki-'));
});
after(() => rm(directory, { recursive: true }));

const inspect = (...words: string[]) => type(program, ['inspect', 'uki', ...words]);
async function file(name: string, bytes: Uint8Array): Promise<string> {
  await writeFile(join(directory, name), bytes);
  return join(directory, name);
}

const kernel = makePe({ sections: [{ name: '.text', content: 'kernel' }] });
const image = makeUki(
  [
    { name: '.linux', content: kernel },
    { name: '.osrel', content: 'ID=debian\nPRETTY_NAME="Debian \u001b[2J12"\n' },
    { name: '.cmdline', content: 'quiet' },
    { name: '.uname', content: '6.1.0-56-amd64' },
    { name: '.profile', content: 'TITLE=Normal' },
    { name: '.profile', content: 'TITLE=Rescue' },
    { name: '.cmdline', content: 'rescue' },
  ],
  undefined,
  { certificates: [Buffer.alloc(8)] },
);

test('JSON has what every log has, and beside it what only an image has', async () => {
  const { code, stdout } = await inspect(await file('uki.efi', image), '-output', 'json');
  const report = JSON.parse(stdout);
  assert.equal(code, 0);
  assert.deepEqual(Object.keys(report).slice(0, 4), ['format', 'events', 'pcrs', 'findings']);
  assert.deepEqual([report.format, report.events, report.findings], ['uki', 5, []]);
  assert.deepEqual(Object.keys(report.pcrs), ['sha1', 'sha256', 'sha384', 'sha512']);
  assert.deepEqual(Object.keys(report.pcrs.sha256), ['11']);
  assert.deepEqual(Object.keys(report.phases.sha256), [
    'enter-initrd',
    'enter-initrd:leave-initrd',
    'enter-initrd:leave-initrd:sysinit',
    'enter-initrd:leave-initrd:sysinit:ready',
  ]);
  assert.deepEqual(Object.keys(report.authenticode), ['sha1', 'sha256', 'sha384']);
  assert.match(report.kernel.sha256, /^[0-9a-f]{64}$/);
  assert.notEqual(report.kernel.sha256, report.authenticode.sha256);
  assert.deepEqual(report.certificates, [{ size: 16, revision: 512, type: 2 }]);
  assert.equal(report.sections.length, 9);
  assert.deepEqual(
    report.measured.map(({ name }: { name: string }) => name),
    ['.linux', '.osrel', '.cmdline', '.uname', '.profile'],
  );
  assert.deepEqual(
    [report.stub, report.cmdline, report.uname, report.osRelease.ID, report.profile, report.profiles],
    ['systemd-stub 257.1', 'quiet', '6.1.0-56-amd64', 'debian', 0, 2],
  );
});

test('another profile has another command line and another PCR 11', async () => {
  const path = await file('profiles.efi', image);
  const first = JSON.parse((await inspect(path, '-output', 'json')).stdout);
  const second = JSON.parse((await inspect(path, '-profile', '1', '-output', 'json')).stdout);
  assert.deepEqual([second.cmdline, second.profile], ['rescue', 1]);
  assert.notEqual(second.pcrs.sha256['11'], first.pcrs.sha256['11']);
  const third = await inspect(path, '-profile', '2');
  assert.equal(third.code, 1);
  assert.match(third.stderr, /the image has 2 profiles, and none of number 2/);
});

test('the text for people begins as that of every log; hostile text stays on its line', async () => {
  const { code, stdout } = await inspect(await file('uki.efi', image));
  assert.equal(code, 0);
  assert.match(
    stdout,
    /^Format {3}: uki\nEvents {3}: 5\nFindings : 0\n\nBANK +PCR +VALUE\nsha1 +11 +[0-9a-f]{40}\n/,
  );
  assert.match(stdout, /\nStub +: systemd-stub 257.1\nProfile +: 0 of 2\nSystem +: Debian \\u001b\[2J12\n/);
  assert.match(stdout, /\nCommand line : quiet\nCertificates : 1\n/);
  assert.match(stdout, /\nimage +sha256 +[0-9a-f]{64}\n[\s\S]*\nkernel +sha256 +[0-9a-f]{64}\n/);
  assert.match(stdout, /\nenter-initrd:leave-initrd:sysinit:ready +[0-9a-f]{64}\n/);
  assert.match(stdout, /\n\.cmdline +5 +[0-9a-f]{64}\n/);
});

test('an image that is no UKI has hashes and sections, and no PCR 11', async () => {
  const path = await file('plain.efi', kernel);
  const report = JSON.parse((await inspect(path, '-output', 'json')).stdout);
  assert.deepEqual([report.format, report.events, report.pcrs, report.phases], ['pe', 0, {}, {}]);
  assert.equal('measured' in report, false);
  assert.match((await inspect(path)).stdout, /\nSECTION +SIZE\n\.text +512\n$/);
});

test('a file that cannot be an image ends with 1 and says why', async () => {
  const elf = await inspect(await file('elf', Buffer.concat([Buffer.from('\u007fELF'), Buffer.alloc(100)])));
  assert.equal(elf.code, 1);
  assert.match(elf.stderr, /the image does not begin with MZ/);
  const cut = await inspect(await file('cut', image.subarray(0, 1500)));
  assert.equal(cut.code, 1);
  assert.match(
    cut.stderr,
    /the image is cut off: the certificate table takes 16 bytes at offset 6144 of 1500/,
  );
  assert.match((await inspect(join(directory, 'none'))).stderr, /cannot read .*none/);
});
