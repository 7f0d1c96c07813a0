import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Health } from '../../../src/wire/gen/grpc/health_pb.js';
import { ServerReflection } from '../../../src/wire/gen/grpc/reflection_pb.js';
import { Agent } from '../../../src/wire/gen/spire/server/agent_pb.js';
import { Debug } from '../../../src/wire/gen/spire/server/debug_pb.js';
import { Entry } from '../../../src/wire/gen/spire/server/entry_pb.js';
import { Logger } from '../../../src/wire/gen/spire/server/logger_pb.js';
import { TrustDomain } from '../../../src/wire/gen/spire/server/trustdomain_pb.js';
import { LogLevel } from '../../../src/wire/gen/spire/types_pb.js';
import { Host } from '../../../src/wire/gen/touchmark/host/v1/host_pb.js';
import { Session } from '../../../src/wire/gen/touchmark/session/v1/session_pb.js';
import { all, entry, refused, stage, textId, wireId } from './support.js';

test('the level of the log is read, set and set back', async (t) => {
  const on = await stage(t);
  const client = on.operator(Logger);
  const launch = LogLevel.DEBUG;
  assert.deepEqual(levels(await client.getLogger({})), [launch, launch]);
  assert.deepEqual(levels(await client.setLogLevel({ newLevel: LogLevel.ERROR })), [LogLevel.ERROR, launch]);
  assert.equal(on.server.context.log.level, 'error');
  assert.deepEqual(levels(await client.setLogLevel({ newLevel: LogLevel.PANIC })), [LogLevel.ERROR, launch]);
  assert.deepEqual(levels(await client.resetLogLevel({})), [launch, launch]);
  await refused(client.setLogLevel({}), 'INVALID_ARGUMENT', /^new_level: 0 is no level/);
});

function levels(logger: { currentLevel: number; launchLevel: number }): number[] {
  return [logger.currentLevel, logger.launchLevel];
}

test('debug tells the own chain and the counts', async (t) => {
  const on = await stage(t);
  await on.agent();
  await on.entries(entry('/a', 'spiffe://example.org/p'));
  const info = await on.operator(Debug).getInfo({});
  assert.deepEqual([info.agentsCount, info.entriesCount, info.federatedBundlesCount], [1, 1, 0]);
  assert.equal(textId(info.svidChain[0]?.id), 'spiffe://example.org/spire/server');
  assert.ok(Number(info.svidChain[0]?.expiresAt) > Date.now() / 1000);
  assert.ok(info.uptime >= 0);
});

test('the process is healthy as a whole, and unknown by any other name', async (t) => {
  const on = await stage(t);
  const client = on.operator(Health);
  assert.equal((await client.check({})).status, 1);
  assert.deepEqual(Object.keys((await client.list({})).statuses), ['']);
  await assert.rejects(client.check({ service: 'nothing' }));
  for await (const { status } of client.watch({})) {
    assert.equal(status, 1);
    break;
  }
});

test('reflection lists every service of the operators', async (t) => {
  const on = await stage(t);
  const stream = on.operator(ServerReflection).serverReflectionInfo();
  await stream.send({ messageRequest: { case: 'listServices', value: '' } });
  stream.closeSend();
  const [answer] = await all(stream.responses);
  const response = answer?.messageResponse;
  const names =
    response?.case === 'listServicesResponse' ? response.value.service.map(({ name }) => name) : [];
  for (const service of [Agent, Entry, Debug, Logger, Host, Session, Health])
    assert.ok(names.includes(service.typeName));
});

test('what is for operators alone is not offered over TLS', async (t) => {
  const on = await stage(t);
  for (const call of [
    () => on.anonymous(Debug).getInfo({}),
    () => on.anonymous(Logger).getLogger({}),
    () => on.anonymous(Health).check({}),
  ]) {
    await refused(call(), 'UNIMPLEMENTED', /./);
  }
});

test('federation relationships are listed as none, and what would make one says which version brings it', async (t) => {
  const on = await stage(t);
  const client = on.operator(TrustDomain);
  assert.deepEqual((await client.listFederationRelationships({})).federationRelationships, []);
  await refused(
    client.getFederationRelationship({ trustDomain: 'o.org' }),
    'NOT_FOUND',
    /no federation relationship with o\.org/,
  );
  await refused(client.getFederationRelationship({ trustDomain: 'O' }), 'INVALID_ARGUMENT', /^trust_domain/);
  await refused(client.batchCreateFederationRelationship({}), 'UNIMPLEMENTED', /come with version/);
  await refused(client.batchUpdateFederationRelationship({}), 'UNIMPLEMENTED', /come with version/);
  await refused(client.batchDeleteFederationRelationship({}), 'UNIMPLEMENTED', /come with version/);
  await refused(client.refreshBundle({ trustDomain: 'o.org' }), 'UNIMPLEMENTED', /come with version/);
});

test('every call leaves one audit line that says who, what and how it ended', async (t) => {
  const on = await stage(t);
  const agent = await on.agent();
  const [id = ''] = await on.entries(entry('/a', agent.id));
  await on.as(agent, Entry).getAuthorizedEntries({});
  await refused(on.anonymous(Entry).listEntries({}), 'PERMISSION_DENIED', /may not call/);
  await on.operator(Agent).banAgent({ id: wireId(agent.id) });
  const lines = on.server.lines.filter(({ event }) => event === 'rpc');
  const of = (method: string) => lines.find((line) => String(line['method']).endsWith(`/${method}`));
  const created = of('BatchCreateEntry');
  assert.equal(created?.['status'], 'OK');
  assert.deepEqual(
    [created?.['caller_uid'], created?.['entry_ids'], created?.['count'], created?.['failed']],
    [process.getuid?.(), [id], 1, 0],
  );
  const read = of('GetAuthorizedEntries');
  assert.deepEqual([read?.['caller_id'], read?.['caller_addr'], read?.['count']], [agent.id, '127.0.0.1', 1]);
  const denied = of('ListEntries');
  assert.equal(denied?.['status'], 'PERMISSION_DENIED');
  assert.match(String(denied?.['status_message']), /may not call/);
  assert.equal(of('AttestAgent')?.['agent_id'], agent.id);
  assert.equal(of('BanAgent')?.['agent_id'], agent.id);
  assert.equal(new Set(lines.map((line) => line['request_id'])).size, lines.length);
  assert.ok(
    on.server.lines.some(({ event, agent_id }) => event === 'node_attested' && agent_id === agent.id),
  );
});

test('no audit line holds a token, a key or the body of an SVID', async (t) => {
  const on = await stage(t);
  const { value } = await on.operator(Agent).createJoinToken({ ttl: 60, token: 'tell-nobody' });
  const agent = await on.agent();
  await on.entries(entry('/a', agent.id));
  const text = JSON.stringify(on.server.lines);
  assert.ok(!text.includes(value));
  assert.ok(
    !text.includes(
      Buffer.from(agent.chain[0] ?? [])
        .toString('base64')
        .slice(40, 80),
    ),
  );
});

test('without an audit log nothing is written for a call', async (t) => {
  const on = await stage(t, { config: { audit: false } });
  await on.operator(Entry).listEntries({});
  assert.ok(on.server.lines.every(({ type }) => type !== 'audit'));
});
