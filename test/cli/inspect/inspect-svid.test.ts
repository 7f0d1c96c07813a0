import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { program as server } from '../../../src/cli/server/program.js';
import { program } from '../../../src/cli/touchmark/program.js';
import { startTestServer, type TestServer } from '../../fakes/test-server.js';
import { type, typist } from '../type.js';

let running: TestServer;
let directory: string;
const file = (name: string) => join(directory, name);
const inspect = (...words: string[]) => type(program, ['inspect', ...words]);

before(async () => {
  running = await startTestServer();
  directory = await mkdtemp(join(tmpdir(), 'tm-svid-'));
  const at = typist(server, { TOUCHMARK_SERVER_SOCKET: running.socketPath });
  await at.good(`x509 mint -spiffeID spiffe://example.org/ops -dns ops.example.org -write ${directory}`);
  await at.good(`jwt mint -spiffeID spiffe://example.org/ops -audience vault -write ${file('token')}`);
  await writeFile(file('bundle.json'), await at.good('bundle show -format spiffe'));
  await at.good('localauthority x509 prepare');
  await using other = await startTestServer();
  const there = typist(server, { TOUCHMARK_SERVER_SOCKET: other.socketPath });
  await writeFile(file('other.json'), await there.good('bundle show -format spiffe'));
});
after(async () => {
  await running.stop();
  await rm(directory, { recursive: true });
});

test('inspect svid: an X.509-SVID is shown, and verified when there is a bundle', async () => {
  const { code, stdout } = await inspect('svid', file('svid.pem'), '-output', 'json');
  const report = JSON.parse(stdout);
  assert.equal(code, 0);
  assert.deepEqual(
    [report.kind, report.spiffeId, report.dnsNames, report.intermediates, report.verified],
    ['X.509-SVID', 'spiffe://example.org/ops', ['ops.example.org'], 0, 'not checked: no bundle was given'],
  );
  for (const bundle of ['bundle.pem', 'bundle.json']) {
    const verified = await inspect('svid', file('svid.pem'), '-bundle', file(bundle));
    assert.equal(verified.code, 0, verified.stderr);
    assert.match(verified.stdout, /verified +: true\n/);
  }
});

test('inspect svid: a JWT-SVID is shown, and verified for its audience', async () => {
  const bundle = ['-bundle', file('bundle.json')];
  const right = await inspect('svid', file('token'), ...bundle, '-audience', 'vault', '-output', 'json');
  assert.equal(right.code, 0, right.stderr);
  const report = JSON.parse(right.stdout);
  assert.deepEqual([report.kind, report.verified, report.audience], ['JWT-SVID', true, ['vault']]);
  assert.doesNotMatch(right.stdout, /ey[\w-]+\./);
  const wrong = await inspect('svid', file('token'), ...bundle, '-audience', 'db');
  assert.equal(wrong.code, 1);
  assert.match(wrong.stdout, /verified +: false\nproblem +: .*db/s);
});

test('inspect svid: another domain’s authorities verify nothing', async () => {
  for (const name of ['svid.pem', 'token']) {
    const { code, stdout } = await inspect(
      'svid',
      file(name),
      '-bundle',
      file('other.json'),
      '-output',
      'json',
    );
    assert.equal(code, 1, name);
    const report = JSON.parse(stdout);
    assert.equal(report.verified, false);
    assert.ok(report.problem.length > 10);
  }
});

test('inspect svid: what is no SVID is refused', async () => {
  const { code, stderr } = await inspect('svid', file('bundle.pem'));
  assert.equal(code, 1);
  assert.match(stderr, /touchmark inspect svid: /);
  assert.equal((await inspect('svid', file('bundle.json'))).code, 1);
});

test('inspect bundle: authorities, keys and sequence are shown', async () => {
  const { code, stdout } = await inspect('bundle', file('bundle.json'), '-output', 'json');
  assert.equal(code, 0);
  const report = JSON.parse(stdout);
  assert.deepEqual([report.x509.length, report.jwt.length, report.refreshHint], [1, 1, 300]);
  assert.deepEqual(report.x509[0].uris, ['spiffe://example.org']);
  const pem = await inspect('bundle', file('bundle.pem'), '-trustDomain', 'example.org');
  assert.match(pem.stdout, /X\.509 authority : spiffe:\/\/example\.org serial /);
  assert.equal((await inspect('bundle', file('token'))).code, 1);
});
