import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { program } from '../../../src/cli/server/program.js';
import { startTestServer, type TestServer } from '../../fakes/test-server.js';
import { typist } from '../type.js';

let server: TestServer;
let at: ReturnType<typeof typist>;
let directory: string;

before(async () => {
  server = await startTestServer();
  at = typist(program, { TOUCHMARK_SERVER_SOCKET: server.socketPath });
  directory = await mkdtemp(join(tmpdir(), 'tm-mint-'));
});
after(async () => {
  await server.stop();
  await rm(directory, { recursive: true });
});

test('an X.509-SVID is minted into files that only its owner reads, or printed', async () => {
  const target = join(directory, 'ops');
  const line = `x509 mint -spiffeID spiffe://example.org/ops -ttl 10m -dns ops.example.org`;
  const said = await at.good(`${line} -write ${target}`);
  assert.doesNotMatch(said, /PRIVATE/);
  assert.equal((await stat(join(target, 'key.pem'))).mode & 0o777, 0o600);
  const leaf = new X509Certificate(await readFile(join(target, 'svid.pem')));
  const root = new X509Certificate(await readFile(join(target, 'bundle.pem')));
  assert.equal(leaf.subjectAltName, 'URI:spiffe://example.org/ops, DNS:ops.example.org');
  assert.ok(leaf.verify(root.publicKey));
  const printed = await at.json(line);
  assert.deepEqual(Object.keys(printed), ['x509_svid', 'private_key', 'root_cas']);
  assert.match(await at.good(line), /^X509-SVID \(until .*Z\):\n-----BEGIN CERTIFICATE-----\n/);
});

test('a JWT-SVID is minted for its audience', async () => {
  const line = 'jwt mint -spiffeID spiffe://example.org/ops -audience vault -audience db -ttl 60';
  const token = (await at.good(line)).trim();
  const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
  assert.deepEqual([claims.sub, claims.aud], ['spiffe://example.org/ops', ['vault', 'db']]);
  const path = join(directory, 'token');
  assert.equal(await at.good(`${line} -write ${path}`), `Wrote ${path}\n`);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.match(await readFile(path, 'utf8'), /^ey[\w-]+\.[\w-]+\.[\w-]+$/);
});

test('what cannot be minted is said', async () => {
  await at.fails('x509 mint -spiffeID spiffe://other.org/x', 1, /other\.org/);
  await at.fails('x509 mint -spiffeID web', 1, /web/);
  await at.fails('jwt mint -spiffeID spiffe://example.org/x', 2, /-audience is required/);
  await at.fails('token generate -spiffeID spiffe://other.org/x', 1, /other\.org/);
  await at.fails('token generate -ttl never', 2, /-ttl must be seconds or a duration/);
});

test('a join token is made, with a second name for the host', async () => {
  assert.match(await at.good('token generate -ttl 60'), /^Token: [\w-]{36}\n$/);
  const token = await at.json('token generate -spiffeID spiffe://example.org/host/web-1');
  const { entries } = await at.json('entry show -spiffeID spiffe://example.org/host/web-1');
  assert.equal(entries[0].parent_id.path, `/spire/agent/join_token/${token.value}`);
});

test('bundles are shown, set, counted and deleted', async () => {
  const pem = await at.good('bundle show');
  assert.match(pem, /^-----BEGIN CERTIFICATE-----\n/);
  const spiffe = await at.good('bundle show -format spiffe');
  assert.equal(JSON.parse(spiffe).keys.length, 2);
  assert.equal((await at.json('bundle show')).trust_domain, 'example.org');

  assert.equal(await at.good('bundle set -id partner.example -format spiffe', spiffe), 'bundle set.\n');
  assert.equal(await at.good('bundle set -id other.example', pem), 'bundle set.\n');
  assert.equal(await at.good('bundle count'), '3 bundles\n');
  assert.match(await at.good('bundle list -id partner.example'), /^# partner\.example\n-----BEGIN/);
  assert.equal((await at.json('bundle list')).bundles.length, 2);

  await at.good(
    'entry create -parentID spiffe://example.org/h -spiffeID spiffe://example.org/f -selector unix:uid:1 -federatesWith partner.example',
  );
  await at.fails('bundle delete -id partner.example', 1, /partner\.example/);
  assert.equal(await at.good('bundle delete -id partner.example -mode dissociate'), 'bundle deleted.\n');
  assert.equal(
    (await at.json('entry show -spiffeID spiffe://example.org/f')).entries[0].federates_with.length,
    0,
  );
  await at.fails('bundle set -id partner.example -format spiffe', 1, /./, '{}');
  await at.fails('bundle set -id partner.example -path /nonexistent', 1, /cannot read \/nonexistent/);
  await at.fails('bundle list -id nobody.example', 1, /nobody\.example/);
});
