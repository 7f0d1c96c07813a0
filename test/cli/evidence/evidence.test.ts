import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { program as serverProgram } from '../../../src/cli/server/program.js';
import { program } from '../../../src/cli/touchmark/program.js';
import { goodHost } from '../../support/appraisal-factory.js';
import { file } from '../../support/appraisal-host.js';
import { type as typed } from '../type.js';
import { exportedTo, publishedPolicy, shownBy } from './world.js';

const drifted = { ...goodHost, ima: [...goodHost.ima, file('/tmp/ unexpected tool', 'rubbish')] };

const verify = (directory: string, ...more: string[]) =>
  typed(program, ['evidence', 'verify', directory, ...more]);
const explain = (directory: string, ...more: string[]) =>
  typed(program, ['evidence', 'explain', directory, ...more]);

async function edit(directory: string, name: string, change: (text: string) => string): Promise<void> {
  const path = join(directory, name);
  const text = await readFile(path, 'latin1');
  const changed = change(text);
  assert.notEqual(changed, text, `${name} is changed`);
  await writeFile(path, changed, 'latin1');
}

test('a stored verdict is come to again from the directory alone, and what that does not show is said', async (t) => {
  const directory = await exportedTo(t, await shownBy());
  const { code, stdout, stderr } = await verify(directory);
  assert.equal(code, 0, `${stdout}${stderr}`);
  assert.match(stdout, /quote signature +passed +the key signed exactly these bytes/);
  assert.match(stdout, /quote pcr-digest +passed/);
  assert.match(stdout, /policy +passed +policy\.json is servers, to the last set/);
  assert.match(stdout, /verdict +passed +it is the one that was stored: trusted/);
  assert.match(stderr, /Not shown by this: that the attestation key lives in a genuine chip/);
  assert.match(stderr, /p256 key a1a1a1a1a1a1a1a1 \(IFX SLB9672\), its certificate chains to Vendor Root/);
  const json = JSON.parse((await verify(directory, '-output', 'json')).stdout);
  assert.deepEqual([json.stored, json.verdict, json.evidence], ['trusted', 'trusted', '019a00000000-00']);
});

test('a drifted host is drifted again, and the server’s program says the same', async (t) => {
  const directory = await exportedTo(t, await shownBy(drifted));
  const { code, stdout } = await typed(serverProgram, ['evidence', 'verify', directory]);
  assert.equal(code, 0, stdout);
  assert.match(stdout, /it is the one that was stored: drifted/);
});

test('whatever is changed in the directory is named, and the verdict is not come to', async (t) => {
  const cases: [string, string, (text: string) => string, RegExp][] = [
    [
      'the verdict',
      'evidence.json',
      (s) => s.replace('"verdict": "drifted"', '"verdict": "trusted"'),
      /verdict: the verdict is drifted here and was trusted/,
    ],
    [
      'a component',
      'evidence.json',
      (s) => s.replace('"result": "fail"', '"result": "pass"'),
      /verdict: component runtime is fail here and was pass/,
    ],
    [
      'a reason',
      'evidence.json',
      (s) => s.replace('"code": "file_unknown"', '"code": "file_modified"'),
      /verdict: component runtime has the reasons file_unknown here and had file_modified/,
    ],
    ['the nonce', 'evidence.json', (s) => s.replace('"nonce": "AQEB', '"nonce": "AgEB'), /quote nonce: /],
    ['who asked', 'evidence.json', (s) => s.replace('"by": "tick"', '"by": "attestation"'), /quote nonce: /],
    [
      'the registers asked for',
      'evidence.json',
      (s) => s.replace(/"pcrs": \[\s*0,/, '"pcrs": ['),
      /quote selection: /,
    ],
    [
      'a register’s value',
      'evidence.json',
      (s) => s.replace(/("10": ")[0-9a-f]{4}/, '$1dead'),
      /quote pcr-digest: /,
    ],
    [
      'the quote',
      'evidence.json',
      (s) => s.replace(/("attest": ".{40})[A-Za-z0-9+/]/, '$1='),
      /this is not exported evidence: attest is not base64/,
    ],
    [
      'the signature',
      'evidence.json',
      (s) => s.replace(/("signature": ".{60})../, '$1AA'),
      /quote signature: /,
    ],
    ['the list', 'ima.list', (s) => s.replace('/usr/bin/true', '/usr/bin/tru3'), /verdict: component /],
    [
      'the list’s length',
      'ima.list',
      (s) => s.slice(0, -7),
      /logs: the ima-list has \d+ bytes, the record says \d+/,
    ],
    ['the firmware’s log', 'boot.log', (s) => s.replace('firmware', 'f1rmware').replace('v1', 'v2'), /: /],
    [
      'the policy',
      'policy.json',
      (s) => s.replace('"onFail": "drift"', '"onFail": "warn"'),
      /policy: .*policy\.json is the policy [0-9a-f]{64}, and the evidence was judged by/,
    ],
    [
      'the policy’s shape',
      'policy.json',
      (s) => s.replace('"references": [', '"references": [5,'),
      /policy: .*policy\.json cannot be read/,
    ],
    [
      'the format',
      'evidence.json',
      (s) => s.replace('evidence-1', 'evidence-9'),
      /is not of the format touchmark-evidence-1/,
    ],
    [
      'the list of components',
      'evidence.json',
      (s) => s.replace(/"components": \[/, '"components": [5,'),
      /component is not an object/,
    ],
    ['JSON', 'evidence.json', (s) => s.slice(0, -9), /evidence\.json is not JSON/],
  ];
  const shown = await shownBy(drifted);
  for (const [what, name, change, message] of cases) {
    const directory = await exportedTo(t, shown);
    await edit(directory, name, change);
    const { code, stderr, stdout } = await verify(directory);
    assert.equal(code, 1, `${what}: ${stdout}`);
    assert.match(stderr, message, what);
    await rm(directory, { recursive: true });
  }
});

test('a file that is missing is told', async (t) => {
  const shown = await shownBy();
  for (const [name, message] of [
    ['policy.json', /policy: policy\.json is missing/],
    ['ima.list', /logs: the ima-list is not there, the record says \d+/],
    ['evidence.json', /there is no evidence\.json in it/],
  ] as const) {
    const directory = await exportedTo(t, shown);
    await rm(join(directory, name));
    const { code, stderr } = await verify(directory);
    assert.deepEqual([code, message.test(stderr)], [1, true], `${name}: ${stderr}`);
  }
});

test('an explanation goes register by register and component by component, down to the entry and what would accept it', async (t) => {
  const directory = await exportedTo(t, await shownBy(drifted));
  const { code, stdout, stderr } = await explain(directory);
  assert.equal(code, 0, stderr);
  assert.match(
    stdout,
    /^Host {5}: web-1\nEvidence : 019a00000000-00, 2026-11-01T00:00:00\.000Z\nVerdict {2}: drifted\nPolicy {3}: servers \(/,
  );
  assert.match(stdout, /\n10 +[0-9a-f]{16} +explained by the ima-list\n/);
  assert.match(stdout, /\nsecure-boot: pass \(\d+ measurements compared\)\n/);
  assert.match(
    stdout,
    /\nruntime: fail \(\d+ measurements compared\)\n {2}file_unknown: entry 5 of the IMA list measured/,
  );
  assert.match(stdout, /\n {4}ima-list 5: PCR 10 ima-sig sha256:[0-9a-f]{64} \/tmp\//);
  assert.match(stdout, /touchmark-server reference create/);
  assert.match(
    stdout,
    /kind: ReferenceSet\nname: accepted-web-1\nfiles:\n {2}- digest: sha256:[0-9a-f]{64}\n {4}path: \/tmp\//,
  );
  const json = JSON.parse((await explain(directory, '-output', 'json')).stdout);
  assert.equal(json.verdict, 'drifted');
  const runtime = json.components.find((one: { component: string }) => one.component === 'runtime');
  assert.match(runtime.reasons[0].entry, /^PCR 10 ima-sig /);
  assert.equal(json.accept.files.length, 1);
});

test('what is said to be accepted is accepted', async (t) => {
  const first = await exportedTo(t, await shownBy(drifted));
  const { accept } = JSON.parse((await explain(first, '-output', 'json')).stdout);
  const { checkManifest } = await import('../../../src/measure/policy/check.js');
  const { goodReferences } = await import('../../support/appraisal-factory.js');
  const set = checkManifest(accept);
  assert.equal(set.kind, 'ReferenceSet');
  const files = [...goodReferences.files, ...('files' in set ? set.files : [])];
  const policy = publishedPolicy(undefined, { ...goodReferences, files });
  const again = await exportedTo(t, await shownBy(drifted, policy));
  assert.match((await explain(again)).stdout, /Verdict {2}: trusted/);
});

test('an explanation of what does not verify is refused, or says so', async (t) => {
  const shown = await shownBy(drifted);
  const forged = await exportedTo(t, shown);
  await edit(forged, 'evidence.json', (s) => s.replace(/("signature": ".{60})../, '$1AA'));
  const refused = await explain(forged);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /quote signature: /);
  const other = await exportedTo(t, shown);
  await edit(other, 'evidence.json', (s) => s.replace('"verdict": "drifted"', '"verdict": "trusted"'));
  const said = await explain(other);
  assert.equal(said.code, 1);
  assert.match(said.stdout, /Verdict {2}: drifted/);
  assert.match(said.stderr, /verdict: the verdict is drifted here and was trusted/);
});
