import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { program } from '../../../src/cli/server/program.js';
import { parseSpiffeId } from '../../../src/spiffe/id.js';
import { attestJoinToken, startTestServer, type TestServer } from '../../fakes/test-server.js';
import { typist } from '../type.js';

let server: TestServer;
let at: ReturnType<typeof typist>;
let first: string;
let second: string;

before(async () => {
  server = await startTestServer();
  at = typist(program, { TOUCHMARK_SERVER_SOCKET: server.socketPath });
  const agents = [await attestJoinToken(server), await attestJoinToken(server)];
  for (const { channel } of agents) channel.close();
  [first, second] = agents.map(({ id }) => id) as [string, string];
});
after(() => server.stop());

/** An agent whose SVID ended some seconds ago. */
async function expired(seconds: number): Promise<string> {
  const { id, channel } = await attestJoinToken(server);
  channel.close();
  const node = server.context.registry.node(parseSpiffeId(id));
  assert.ok(node);
  const svidExpiresAt = Math.floor(Date.now() / 1000) - seconds;
  await server.store.commit([{ kind: 'node', key: id, value: { ...node, svidExpiresAt } }]);
  return id;
}

test('agents are listed, counted and shown', async () => {
  assert.match(
    await at.good('agent list'),
    /^Found 2 attested agents\n\nSPIFFE ID +: spiffe:\/\/example\.org\/spire\/agent\/join_token\//,
  );
  assert.equal((await at.json('agent list -attestationType tpm')).agents.length, 0);
  assert.equal(await at.good('agent count -canReattest=false'), '2 attested agents\n');
  assert.equal((await at.json('agent count -banned')).count, 0);
  const shown = await at.json(`agent show -spiffeID ${first}`);
  assert.equal(shown.attestation_type, 'join_token');
  assert.equal(shown.banned, false);
  await at.fails('agent show -spiffeID spiffe://example.org/spire/agent/join_token/none', 1, /none/);
  await at.fails('agent show', 2, /-spiffeID is required/);
});

test('a time is written as SPIRE does, or as everybody else', async () => {
  for (const time of ['2999-01-01T00:00:00Z', '2999-01-01T00:00:00+02:00'])
    assert.equal((await at.json(`agent list -expiresBefore ${time}`)).agents.length, 2, time);
  assert.equal((await at.json('agent count -expiresBefore 2001-01-01T00:00:00Z')).count, 0);
  await at.fails('agent list -expiresBefore soon', 1, /soon/);
});

test('only agents that expired long enough ago are purged, and banned ones stay', async () => {
  assert.equal(await at.good('agent purge -expiredFor 1h'), 'Evicted 0 agents\n');
  await at.good(`agent ban -spiffeID ${first}`);
  assert.match(await at.good(`agent show -spiffeID ${first}`), /Banned +: true/);
  assert.deepEqual(await at.json('agent purge -dryRun'), { expired: [], purged: [] });
  const third = await expired(2 * 3600);
  await at.good(`agent ban -spiffeID ${await expired(2 * 3600)}`);
  assert.deepEqual(await at.json('agent purge -expiredFor 3h'), { expired: [], purged: [] });
  assert.deepEqual(await at.json('agent purge -expiredFor 1h -dryRun'), { expired: [third], purged: [] });
  assert.equal(await at.good('agent purge -expiredFor 1h -dryRun'), `Would evict 1 agent\n${third}\n`);
  assert.equal(await at.good('agent purge -expiredFor 1h'), `Evicted 1 agent\n${third}\n`);
  await at.fails(`agent show -spiffeID ${third}`, 1, /there is no agent/);
  assert.deepEqual(await at.json('agent purge -expiredFor 1h'), { expired: [], purged: [] });
});

test('an agent is evicted once', async () => {
  assert.equal(await at.good(`agent evict -spiffeID ${second}`), 'Agent evicted\n');
  await at.fails(`agent evict -spiffeID ${second}`, 1, /join_token/);
  assert.equal((await at.json('agent count')).count, 2);
});
