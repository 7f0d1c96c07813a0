import assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { program } from '../../../src/cli/agent/program.js';
import { foreign, mine, serveForTest } from '../../agent/workloads/support.js';
import { entryOf } from '../../support/entries.js';
import { type, typist } from '../type.js';

async function serve(t: TestContext) {
  const served = await serveForTest(t);
  const environment = {
    SPIFFE_ENDPOINT_SOCKET: `unix://${served.socketPath}`,
    TOUCHMARK_AGENT_ADMIN_SOCKET: served.adminSocketPath,
  };
  return { ...served, at: typist(program, environment) };
}

test('healthcheck follows whether workloads are served', async (t) => {
  const { at, store, socketPath } = await serve(t);
  await at.fails('healthcheck', 1, /the agent is not serving yet\n/);
  store.serve();
  assert.equal(await at.good('healthcheck'), 'Agent is healthy.\n');
  assert.equal((await at.plain('healthcheck -verbose')).stderr, `asking ${socketPath}\n`);
  const byPath = await type(program, ['healthcheck', '-socketPath', socketPath]);
  assert.equal(byPath.code, 0);
});

test('the log level and the holdings are asked on the admin socket, by its name or as SPIRE names it', async (t) => {
  const { at, adminSocketPath, store } = await serve(t);
  store.serve();
  assert.match(await at.good('logger get'), /^Logger level : \w+\nLaunch level : \w+\n$/);
  assert.equal((await at.json('logger set -level debug')).current_level, 'DEBUG');
  await at.good('logger reset');
  await at.fails('logger set', 2, /-level is required/);
  const named = await type(program, ['debug', 'getinfo', '-socketPath', adminSocketPath, '-output', 'json']);
  assert.equal(named.code, 0, named.stderr);
  assert.equal(typeof JSON.parse(named.stdout).uptime, 'number');
  assert.match(await at.good('debug getinfo'), /^Uptime .*\nX\.509-SVIDs +: 0\n/);
});

test('X.509-SVIDs are fetched, and written under the names that SPIRE gives', async (t) => {
  const { at, store, folder } = await serve(t);
  store.serve();
  store.put(entryOf('web', [mine]));
  const shown = await at.good('api fetch');
  assert.match(shown, /^Received 1 svid after \d+ms\n\nSPIFFE ID {8}: spiffe:\/\/example\.org\//);
  const target = join(folder, 'svids');
  const { stdout, stderr } = await at.plain(`api fetch x509 -silent -write ${target}`);
  assert.equal(stdout, '');
  assert.match(stderr, /Writing .*svid\.0\.pem\n/);
  assert.match(await readFile(join(target, 'svid.0.pem'), 'utf8'), /^-----BEGIN CERTIFICATE-----\n/);
  assert.match(await readFile(join(target, 'svid.0.key'), 'utf8'), /^-----BEGIN PRIVATE KEY-----\n/);
  assert.equal((await stat(join(target, 'svid.0.key'))).mode & 0o777, 0o600);
  assert.match(await readFile(join(target, 'bundle.0.pem'), 'utf8'), /^-----BEGIN CERTIFICATE-----\n/);
});

test('a JWT-SVID is fetched for its audiences and refused for another', async (t) => {
  const { at, store } = await serve(t);
  store.serve();
  store.put(entryOf('web', [mine]));
  const { svids } = await at.json('api fetch jwt -audience a,b');
  assert.equal(svids.length, 1);
  const claims = JSON.parse(Buffer.from(svids[0].svid.split('.')[1], 'base64url').toString());
  assert.deepEqual([...claims.aud].sort(), ['a', 'b']);
  assert.match(await at.good('api fetch jwt -audience a'), /^token\(spiffe:\/\/example\.org\/.*\):\n\tey/);
  await at.fails('api fetch jwt', 2, /-audience is required/);
  await at.fails('api validate jwt -audience a -svid -', 1, /./, 'no.token.here');
});

test('a caller without an identity is told what to do, and explain tells which selector is missing', async (t) => {
  const { at, store, adminSocketPath } = await serve(t);
  store.serve();
  store.put(entryOf('web', [foreign]));
  await at.fails('api fetch', 1, /touchmark-agent explain/);
  const other = await at.plain(`explain -pid ${process.pid} -adminSocketPath ${adminSocketPath}`);
  assert.equal(other.code, 1);
  assert.match(other.stdout, new RegExp(`^process ${process.pid}: `));
  assert.ok(other.stdout.includes(`  + ${mine}\n`), other.stdout);
  assert.ok(other.stdout.includes(`    - ${foreign}\n`), other.stdout);
});

test('a socket that nobody serves is named, with the reason and nothing of the transport', async (t) => {
  const { at } = await serve(t);
  const absent = join(tmpdir(), 'touchmark-nobody-here.sock');
  await at.fails(
    `api fetch -socketPath ${absent}`,
    1,
    new RegExp(`cannot reach an agent at ${absent}: connect ENOENT ${absent}\nStart the agent`),
  );
});
