import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { authenticodeHash } from '../../src/measure/uki/authenticode.js';
import { predictPcr11 } from '../../src/measure/uki/pcr11.js';
import { parsePe } from '../../src/measure/uki/pe-image.js';
import { parseUki } from '../../src/measure/uki/uki.js';

const efi = '/usr/lib/systemd/boot/efi';
const stub = `${efi}/linuxx64.efi.stub`;
const bootManager = `${efi}/systemd-bootx64.efi`;
const measure = '/lib/systemd/systemd-measure';
const banks = ['sha1', 'sha256', 'sha384', 'sha512'] as const;
/** Where a program is looked for; a path with folders is taken from the root. */
const searched = ['/', ...(process.env['PATH'] ?? '').split(delimiter)];
let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tm-uki-'));
});
after(() => rm(directory, { recursive: true }));

const inside = (name: string) => join(directory, name);
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const run = (command: string, ...args: string[]) =>
  execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

/** Skips visibly what cannot be run here; in CI that is a failure. */
function have(t: TestContext, ...tools: readonly string[]): boolean {
  const missing = tools.filter((tool) => !searched.some((folder) => existsSync(join(folder, tool))));
  if (missing.length === 0) return true;
  const reason = `${missing.join(', ')} is not here: run scripts/test interop`;
  if (process.env['CI'] === 'true') throw new Error(reason);
  t.skip(reason);
  return false;
}

const parts = {
  '.osrel': Buffer.from('ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n'),
  '.cmdline': Buffer.from('console=ttyS0 ima_policy=tcb'),
  '.initrd': Buffer.alloc(70_001, 'cpio'),
  '.splash': Buffer.from('BM'),
  '.pcrpkey': Buffer.from('-----BEGIN PUBLIC KEY-----\n'),
  '.pcrsig': Buffer.from('{}'),
};

/** As a distribution would make it, with the boot manager in the place of the kernel. */
async function build(): Promise<string> {
  const adds = await Promise.all(
    Object.entries(parts).map(async ([name, content], index) => {
      await writeFile(inside(name), content);
      const address = `0x${(0x20000 + index * 0x20000).toString(16)}`;
      return ['--add-section', `${name}=${inside(name)}`, '--change-section-vma', `${name}=${address}`];
    }),
  );
  const linux = ['--add-section', `.linux=${bootManager}`, '--change-section-vma', '.linux=0x2000000'];
  run('objcopy', ...adds.flat(), ...linux, stub, inside('uki.efi'));
  return inside('uki.efi');
}

test('Authenticode hashes are those of pesign', async (t) => {
  if (!have(t, 'objcopy', 'pesign', stub, bootManager)) return;
  for (const path of [stub, bootManager, await build()]) {
    const image = parsePe(await readFile(path));
    for (const bank of ['sha1', 'sha256'] as const) {
      const theirs = run('pesign', '-h', '-d', bank, '-i', path).match(/[0-9a-f]{40,}/)?.[0];
      assert.equal(hex(authenticodeHash(image, bank)), theirs, `${path} ${bank}`);
    }
  }
});

test('the hash is what sbsign signs and sbverify verifies, and signing does not change it', async (t) => {
  if (!have(t, 'objcopy', 'sbsign', 'sbverify', 'openssl', stub, bootManager)) return;
  const path = await build();
  const [key, cert, signed] = [inside('db.key'), inside('db.crt'), inside('signed.efi')];
  run(
    'openssl',
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-subj',
    '/CN=db',
    '-keyout',
    key,
    '-out',
    cert,
  );
  run('sbsign', '--key', key, '--cert', cert, '--output', signed, path);
  run('sbverify', '--cert', cert, signed);
  const image = parsePe(await readFile(signed));
  const own = authenticodeHash(image, 'sha256');
  // Signing tools fill a file up to a multiple of 8 bytes, and sign the zeros too.
  const unsigned = await readFile(path);
  const filled = Buffer.concat([unsigned, Buffer.alloc((8 - (unsigned.length % 8)) % 8)]);
  assert.equal(hex(own), hex(authenticodeHash(parsePe(filled), 'sha256')));
  assert.equal(image.certificates.length, 1);
  const table = image.header.certificates;
  assert.ok(table && image.bytes.subarray(table.start, table.end).includes(Buffer.from(own)));
});

test('PCR 11 is what systemd-measure calculates, at the end of the stub and after every phase', async (t) => {
  if (!have(t, 'objcopy', measure, stub, bootManager)) return;
  const { profiles, findings } = parseUki(await readFile(await build()));
  const [profile] = profiles;
  assert.ok(profile);
  const files = Object.keys(parts).filter((name) => name !== '.pcrsig');
  const options = files.map((name) => `--${name.slice(1)}=${inside(name)}`);
  const phases = [':', ...predictPcr11(profile, 'sha256').phases.keys()];
  const text = run(
    measure,
    'calculate',
    `--linux=${bootManager}`,
    ...options,
    ...phases.map((path) => `--phase=${path}`),
  );
  const theirs = [...text.matchAll(/^11:(sha\d+)=([0-9a-f]+)$/gm)].map(
    ([, bank, value]) => `${bank} ${value}`,
  );
  const ours = banks.flatMap((bank) => {
    const { stub: first, phases: later } = predictPcr11(profile, bank);
    return [first, ...later.values()].map((value) => `${bank} ${hex(value)}`);
  });
  assert.equal(theirs.length, 20);
  assert.deepEqual(theirs.sort(), ours.sort());
  // This stub has a .sbat of its own, which this version of systemd leaves out.
  assert.deepEqual(
    findings.map(({ code, message }) => [code, message]),
    [['uki_section_unmeasured', 'this stub does not measure .sbat']],
  );
});
