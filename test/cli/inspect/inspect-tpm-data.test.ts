import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { program } from '../../../src/cli/touchmark/program.js';
import { haveVectors, readVector, vectorsDirectory } from '../../support/vectors.js';
import { type } from '../type.js';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tm-inspect-'));
});
after(() => rm(directory, { recursive: true }));

const vector = (name: string) => join(vectorsDirectory(), name);
const swtpm = (name: string) => vector(`generated/swtpm/${name}`);
const inspect = (...words: string[]) => type(program, ['inspect', ...words]);

test('inspect ek: a real chip is told with its vendor, model and anchor', async (t) => {
  if (!haveVectors(t)) return;
  const { code, stdout } = await inspect('ek', vector('ek/nuvoton_npct75x_rsa.pem'), '-output', 'json');
  const report = JSON.parse(stdout);
  assert.equal(code, 0);
  assert.equal(report.ekHash, '5f4f4e37a35ed4d11ae72587e5f0c87b3ce784fa372767f9f986b0b7bf29a328');
  assert.deepEqual(
    [report.manufacturer, report.model, report.anchor, report.assurance, report.problem],
    ['NTC', 'NPCT75x', 'Nuvoton TPM Root CA 2111', 'hardware', ''],
  );
  assert.deepEqual(
    report.deviations.map((row: { code: string }) => row.code),
    ['rdn_multi_valued'],
  );
});

test('inspect ek: without an anchor it says so and ends with 1, with the operator’s anchor with 0', async (t) => {
  if (!haveVectors(t)) return;
  const file = vector('generated/vm/ek-rsa-2048.der');
  const alone = await inspect('ek', file);
  assert.equal(alone.code, 1);
  assert.match(alone.stdout, /Vendor {3}: id:00001014\n.*Anchor {3}: none: /s);
  const anchors = ['ek-root.pem', 'ek-issuer.pem'].flatMap((name) => [
    '-anchor',
    vector(`generated/vm/${name}`),
  ]);
  const known = await inspect('ek', file, '-noVendorAnchors', ...anchors);
  assert.equal(known.code, 0);
  assert.match(known.stdout, /Anchor {3}: .*ek-root\.pem/);
});

test('inspect ek: what is no certificate of an endorsement key is refused', async (t) => {
  if (!haveVectors(t)) return;
  for (const name of ['platform/plat_cert1.cer', 'platform/Intel_nuc_pc.cer', 'generated/vm/platform.der']) {
    const { code, stderr } = await inspect('ek', vector(name));
    assert.equal(code, 1, name);
    assert.match(stderr, /attribute certificate|platform/, name);
    assert.match(stderr, /0x01C00002/, name);
  }
  const garbage = join(directory, 'garbage');
  await writeFile(garbage, 'hello');
  assert.equal((await inspect('ek', garbage)).code, 1);
  assert.match((await inspect('ek', '/nonexistent')).stderr, /cannot read \/nonexistent: ENOENT/);
  assert.equal((await inspect('ek')).code, 2);
});

function quote(name: string, key: string, ...more: string[]) {
  const files = [
    '--attest',
    swtpm(`${name}.attest`),
    '--signature',
    swtpm(`${name}.sig`),
    '--key',
    swtpm(key),
  ];
  return inspect('quote', ...files, '-output', 'json', ...more);
}
const nonce = () => readVector('generated/swtpm/quote-ecc.nonce').toString('hex');
const results = (stdout: string): Record<string, string> =>
  Object.fromEntries(
    JSON.parse(stdout).checks.map((row: { check: string; result: string }) => [row.check, row.result]),
  );

test('inspect quote: a genuine quote passes every check that there is something to compare with', async (t) => {
  if (!haveVectors(t)) return;
  for (const kind of ['ecc', 'rsa']) {
    const bare = await quote(`quote-${kind}`, `ak-${kind}.tpmt_public`);
    assert.equal(bare.code, 0);
    assert.deepEqual(
      Object.entries(results(bare.stdout)).filter(([, result]) => result !== 'passed'),
      [
        ['nonce', 'not checked'],
        ['selection', 'not checked'],
        ['pcr-digest', 'not checked'],
      ],
    );
    const asked = readVector(`generated/swtpm/quote-${kind}.nonce`).toString('hex');
    const given = [
      '--nonce',
      asked,
      '--pcrs',
      swtpm('pcrs-sha256.json'),
      '--select',
      'sha256:0,1,2,3,4,5,6,7,9,10,11',
    ];
    const whole = await quote(`quote-${kind}`, `ak-${kind}.tpmt_public`, ...given);
    assert.equal(whole.code, 0, whole.stdout);
    assert.ok(
      Object.values(results(whole.stdout)).every((result) => result === 'passed'),
      whole.stdout,
    );
  }
});

test('inspect quote: each forgery fails by the check that it breaks', async (t) => {
  if (!haveVectors(t)) return;
  const key = 'ak-ecc.tpmt_public';
  const cases: [string, string, string[], string][] = [
    ['attack-unrestricted-forged-quote', 'attack-unrestricted-key.tpmt_public', [], 'key'],
    ['attack-unrestricted-forged-quote', key, [], 'signature'],
    ['quote-ecc', key, ['--nonce', '00'.repeat(32)], 'nonce'],
    ['quote-ecc-pcr23only', key, ['--select', 'sha256:0,1,2,3,4,5,6,7,9,10,11'], 'selection'],
    ['quote-ecc-sha1bank', key, ['--select', 'sha256:0,1,2,3,4,5,6,7,9,10,11'], 'selection'],
    ['identity-ecc.certify', key, [], 'structure'],
  ];
  for (const [name, ak, more, check] of cases) {
    const { code, stdout } = await quote(name, ak, ...more);
    assert.equal(code, 1, `${name} ${check}`);
    assert.equal(results(stdout)[check], 'failed', `${name} ${check}\n${stdout}`);
  }
  const pcrs = JSON.parse(await readFile(swtpm('pcrs-sha256.json'), 'utf8'));
  const other = join(directory, 'pcrs.json');
  await writeFile(other, JSON.stringify({ sha256: { ...pcrs, 0: 'ff'.repeat(32) } }));
  const wrong = await quote('quote-ecc', key, '--nonce', nonce(), '--pcrs', other);
  assert.equal(wrong.code, 1);
  assert.equal(results(wrong.stdout)['pcr-digest'], 'failed');
});

test('inspect quote: bad words are wrong usage', async (t) => {
  if (!haveVectors(t)) return;
  const key = 'ak-ecc.tpmt_public';
  const cases: [string[], RegExp][] = [
    [['--nonce', 'xyz'], /nonce is not hex/],
    [['--select', 'sha256'], /-select "sha256" is not bank:0,1,7/],
    [['--select', 'sha7:1'], /-select "sha7:1" is not bank:0,1,7/],
    [['--select', 'sha256:24'], /is not bank:0,1,7/],
  ];
  for (const [more, message] of cases) {
    const { code, stderr } = await quote('quote-ecc', key, ...more);
    assert.equal(code, 2, more.join(' '));
    assert.match(stderr, message);
  }
  assert.match((await inspect('quote', '--attest', 'x')).stderr, /-signature is required/);
});
