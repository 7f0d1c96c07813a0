import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { program } from '../../../src/cli/server/program.js';
import { startTestServer, type TestServer } from '../../fakes/test-server.js';
import { typist } from '../type.js';

let server: TestServer;
let at: ReturnType<typeof typist>;

before(async () => {
  server = await startTestServer();
  at = typist(program, { TOUCHMARK_SERVER_SOCKET: server.socketPath });
});
after(() => server.stop());

test('a server that serves is healthy, and verbose says where', async () => {
  assert.equal(await at.good('healthcheck'), 'Server is healthy.\n');
  const verbose = await at.plain('healthcheck -verbose -shallow');
  assert.equal(verbose.stderr, `asking ${server.socketPath}\n`);
});

test('the log level is shown, changed and reset', async () => {
  assert.match(await at.good('logger get'), /^Logger level : debug\nLaunch level : debug\n$/);
  assert.equal((await at.json('logger set -level warn')).current_level, 'WARN');
  assert.match(await at.good('logger reset'), /Logger level : debug/);
  await at.fails('logger set -level loud', 2, /must be one of panic, fatal, error, warn, info, debug, trace/);
});

test('what the server holds is counted', async () => {
  const info = await at.json('debug getinfo');
  assert.equal(info.agents_count, 0);
  assert.match(await at.good('debug getinfo'), /^Uptime .*\nAgents .* : 0\n/);
});

test('authorities are shown, prepared, activated, tainted and revoked', async () => {
  for (const purpose of ['x509', 'jwt']) {
    const active = (await at.json(`localauthority ${purpose} show`)).active.authority_id;
    const prepared = (await at.json(`localauthority ${purpose} prepare`)).prepared_authority.authority_id;
    assert.notEqual(prepared, active);
    assert.match(
      await at.good(`localauthority ${purpose} show`),
      new RegExp(`Prepared:\n {2}Authority ID : ${prepared}`),
    );
    await at.fails(`localauthority ${purpose} taint -authorityID ${active}`, 1, /active|old/);
    await at.good(`localauthority ${purpose} activate -authorityID ${prepared}`);
    assert.match(await at.good(`localauthority ${purpose} taint -authorityID ${active}`), /^Tainted /);
    const revoked = await at.json(`localauthority ${purpose} revoke -authorityID ${active}`);
    assert.equal(revoked.revoked_authority.authority_id, active);
  }
  await at.fails('localauthority jwt activate', 2, /-authorityID is required/);
  await at.fails('upstreamauthority taint -subjectKeyID 00', 1, /upstream/);
  await at.fails('upstreamauthority revoke -subjectKeyID 00', 1, /upstream/);
});

test('what waits for a later version says so', async () => {
  assert.equal(await at.good('federation list'), 'Found 0 federation relationships\n');
  assert.deepEqual((await at.json('federation list')).federation_relationships, []);
  await at.fails(
    'federation show -trustDomain partner.example',
    1,
    /there is no federation relationship with partner\.example/,
  );
  const create =
    'federation create -trustDomain partner.example -bundleEndpointURL https://partner.example/b -bundleEndpointProfile';
  await at.fails(`${create} https_web`, 1, /federation relationships come with version/);
  await at.fails(
    `${create.replace('create', 'update')} https_spiffe -endpointSpiffeID spiffe://partner.example/x`,
    1,
    /come with version/,
  );
  await at.fails(`${create} https_spiffe`, 2, /-endpointSpiffeID belongs to the profile https_spiffe/);
  await at.fails('federation refresh -id partner.example', 1, /come with version/);
  await at.fails('federation delete -id partner.example', 1, /come with version/);
  await at.fails('wit mint -spiffeID spiffe://example.org/x', 1, /WIT/);
});
