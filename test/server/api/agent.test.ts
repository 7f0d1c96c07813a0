import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Agent } from '../../../src/wire/gen/spire/server/agent_pb.js';
import { Bundle } from '../../../src/wire/gen/spire/server/bundle_pb.js';
import { Entry } from '../../../src/wire/gen/spire/server/entry_pb.js';
import { SVID } from '../../../src/wire/gen/spire/server/svid_pb.js';
import { buildCsr } from '../../../src/x509/csr.js';
import { readCertificate } from '../../../src/x509/read-certificate.js';
import { agentChannel, newKey } from '../../fakes/test-server.js';
import { all, entry, reasonOf, refused, stage, textId, wireId } from './support.js';

test('a token makes a node of its name, once', async (t) => {
  const on = await stage(t);
  const { value, expiresAt } = await on.operator(Agent).createJoinToken({ ttl: 60 });
  assert.ok(Number(expiresAt) > Date.now() / 1000);
  const attest = async () => {
    const stream = on.anonymous(Agent).attestAgent();
    const data = { type: 'join_token', payload: Buffer.from(value) };
    const params = { data, params: { csr: buildCsr({ key: newKey() }) } };
    await stream.send({ step: { case: 'params', value: params } });
    return all(stream.responses);
  };
  const [answer] = await attest();
  const { step } = answer ?? {};
  assert.equal(step?.case, 'result');
  if (step?.case !== 'result') return;
  assert.equal(textId(step.value.svid?.id), `spiffe://example.org/spire/agent/join_token/${value}`);
  assert.equal(step.value.reattestable, false);
  const leaf = readCertificate(step.value.svid?.certChain[0] ?? new Uint8Array());
  assert.deepEqual(leaf.uris, [`spiffe://example.org/spire/agent/join_token/${value}`]);
  const error = await refused(attest(), 'INVALID_ARGUMENT', /does not exist or was used already/);
  assert.equal(error.code, 'join_token_invalid');
  const lines = JSON.stringify(on.server.lines.filter(({ event }) => event === 'rpc' || event === undefined));
  assert.ok(!lines.includes(`"${value}"`));
});

test('tokens are refused without a life, twice, or with characters that no ID has', async (t) => {
  const on = await stage(t);
  const create = (request: object) => on.operator(Agent).createJoinToken(request);
  await refused(create({ ttl: 0 }), 'INVALID_ARGUMENT', /^ttl: 0 is not above zero/);
  await refused(create({ ttl: 5, token: 'a/b' }), 'INVALID_ARGUMENT', /^token: /);
  await refused(create({ ttl: 5, token: '..' }), 'INVALID_ARGUMENT', /^token: /);
  await refused(
    create({ ttl: 5, agentId: { trustDomain: 'x.org', path: '/a' } }),
    'INVALID_ARGUMENT',
    /^agent_id: .*not in trust domain/,
  );
  await refused(
    create({ ttl: 5, token: 'good', agentId: wireId('spiffe://example.org/spire/server') }),
    'INVALID_ARGUMENT',
    /reserved/,
  );
  await create({ ttl: 5, token: 'good' });
  await refused(create({ ttl: 5, token: 'good' }), 'ALREADY_EXISTS', /exists already/);
});

test('a token in the datastore is a hash', async (t) => {
  const on = await stage(t);
  const { value } = await on.operator(Agent).createJoinToken({ ttl: 60, token: 'very-secret' });
  const stored = await on.server.store.list('join_token');
  assert.equal(stored.length, 1);
  assert.ok(!JSON.stringify(stored).includes(value));
});

test('agents are shown, counted, listed in pages and filtered', async (t) => {
  const on = await stage(t);
  const client = on.operator(Agent);
  const agents = [await on.agent(), await on.agent(), await on.agent()];
  const [first] = agents;
  assert.ok(first !== undefined);
  await client.banAgent({ id: wireId(first.id) });
  const shown = await client.getAgent({ id: wireId(first.id) });
  assert.deepEqual(
    [shown.attestationType, shown.banned, shown.canReattest, shown.x509svidSerialNumber],
    ['join_token', true, false, ''],
  );
  const live = await client.listAgents({ filter: { byBanned: false } });
  assert.deepEqual(
    live.agents.map(({ id }) => textId(id)).toSorted(),
    agents
      .slice(1)
      .map(({ id }) => id)
      .toSorted(),
  );
  assert.match(live.agents[0]?.x509svidSerialNumber ?? '', /^\d+$/);
  const count = async (filter: object) => (await client.countAgents({ filter })).count;
  assert.equal((await client.countAgents({})).count, 3);
  assert.equal(await count({ byBanned: true }), 1);
  assert.equal(await count({ byCanReattest: true }), 0);
  assert.equal(await count({ byAttestationType: 'tpm' }), 0);
  assert.equal(await count({ byAttestationType: 'join_token' }), 3);
  assert.equal(await count({ byExpiresBefore: '2020-01-02 15:04:05 -0700 -07' }), 0);
  assert.equal(await count({ byExpiresBefore: '2200-01-02 15:04:05 +0000 UTC' }), 3);
  assert.equal(await count({ bySelectorMatch: { selectors: [{ type: 'a', value: 'b' }], match: 3 } }), 0);
  await refused(
    count({ byExpiresBefore: 'tomorrow' }),
    'INVALID_ARGUMENT',
    /filter\.by_expires_before: "tomorrow"/,
  );
  await refused(
    count({ bySelectorMatch: {} }),
    'INVALID_ARGUMENT',
    /filter\.by_selector_match names nothing/,
  );
  const page = await client.listAgents({ pageSize: 2, outputMask: { banned: true } });
  assert.equal(page.agents.length, 2);
  assert.ok(page.agents.every(({ id, attestationType }) => id !== undefined && attestationType === ''));
  const last = await client.listAgents({ pageSize: 2, pageToken: page.nextPageToken });
  assert.deepEqual([last.agents.length, last.nextPageToken], [1, '']);
});

test('an ID that names no agent is refused by its field', async (t) => {
  const on = await stage(t);
  const client = on.operator(Agent);
  await refused(client.getAgent({}), 'INVALID_ARGUMENT', /^id: it is missing/);
  await refused(
    client.banAgent({ id: wireId('spiffe://example.org/web') }),
    'INVALID_ARGUMENT',
    /^id: .*not the ID of an agent/,
  );
  await refused(
    client.deleteAgent({ id: { trustDomain: 'example.or', path: 'g/spire/agent/x' } }),
    'INVALID_ARGUMENT',
    /does not begin with \//,
  );
  const nobody = wireId('spiffe://example.org/spire/agent/x/1');
  await refused(client.getAgent({ id: nobody }), 'NOT_FOUND', /there is no agent/);
  await refused(client.banAgent({ id: nobody }), 'NOT_FOUND', /there is no agent/);
  await refused(client.deleteAgent({ id: nobody }), 'NOT_FOUND', /there is no agent/);
});

test('a banned agent is refused everywhere, with its reason, and may not attest under its ID again', async (t) => {
  const on = await stage(t);
  const agent = await on.agent();
  await on.operator(Agent).banAgent({ id: wireId(agent.id) });
  const error = await refused(on.as(agent, Entry).getAuthorizedEntries({}), 'PERMISSION_DENIED', /is banned/);
  assert.equal(reasonOf(error), 'AGENT_BANNED');
  await on.as(agent, Bundle).getBundle({});
});

test('an evicted agent is told to attest again, and its alias is gone', async (t) => {
  const on = await stage(t);
  const agent = await on.agent({ agentPath: '/alias' });
  assert.equal((await on.operator(Entry).countEntries({})).count, 1);
  await on.operator(Agent).deleteAgent({ id: wireId(agent.id) });
  assert.equal((await on.operator(Entry).countEntries({})).count, 0);
  const error = await refused(
    on.as(agent, Entry).getAuthorizedEntries({}),
    'PERMISSION_DENIED',
    /is not attested/,
  );
  assert.equal(reasonOf(error), 'AGENT_NOT_ATTESTED');
});

test('a renewed SVID takes effect when it is first presented, and then the one before is void', async (t) => {
  const on = await stage(t);
  const agent = await on.agent();
  const key = newKey();
  const { svid } = await on.as(agent, Agent).renewAgent({ params: { csr: buildCsr({ key }) } });
  await on.as(agent, Entry).getAuthorizedEntries({});
  const renewed = { channel: agentChannel(on.server, { key, chain: svid?.certChain ?? [] }) };
  on.onEnd(() => renewed.channel.close());
  await on.as(renewed, Entry).getAuthorizedEntries({});
  const error = await refused(
    on.as(agent, Entry).getAuthorizedEntries({}),
    'PERMISSION_DENIED',
    /has a newer SVID/,
  );
  assert.equal(reasonOf(error), 'AGENT_NOT_ACTIVE');
  assert.ok(on.server.lines.some(({ event }) => event === 'node_serial_promoted'));
});

test('a renewal whose answer was lost locks nobody out: it can be asked for again', async (t) => {
  const on = await stage(t);
  const agent = await on.agent();
  const renew = () => on.as(agent, Agent).renewAgent({ params: { csr: buildCsr({ key: newKey() }) } });
  await renew();
  await renew();
  await on.as(agent, Entry).getAuthorizedEntries({});
});

test('a renewal without a request or with a forged one is refused', async (t) => {
  const on = await stage(t);
  const agent = await on.agent();
  const client = on.as(agent, Agent);
  await refused(client.renewAgent({}), 'INVALID_ARGUMENT', /^params: it is missing/);
  await refused(
    client.renewAgent({ params: { csr: Buffer.from('no') } }),
    'INVALID_ARGUMENT',
    /signing request/,
  );
  const forged = buildCsr({ key: newKey() });
  forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;
  await refused(client.renewAgent({ params: { csr: forged } }), 'INVALID_ARGUMENT', /signing request/);
});

test('a node that proves itself by attesting does not renew', async (t) => {
  const on = await stage(t);
  const agent = await on.agent();
  const stored = await on.server.store.get('node', agent.id);
  assert.ok(stored !== undefined);
  const value = { ...stored.value, canReattest: true };
  await on.server.store.commit([{ kind: 'node', key: agent.id, value }]);
  const call = on.as(agent, Agent).renewAgent({ params: { csr: buildCsr({ key: newKey() }) } });
  const error = await refused(call, 'PERMISSION_DENIED', /attesting again/);
  assert.equal(reasonOf(error), 'AGENT_MUST_REATTEST');
});

test('a node posts its version, and it is shown', async (t) => {
  const on = await stage(t);
  const agent = await on.agent();
  await on.as(agent, Agent).postStatus({ agentVersion: '1.2.3', currentBundleSerial: 1n });
  assert.equal((await on.operator(Agent).getAgent({ id: wireId(agent.id) })).agentVersion, '1.2.3');
  const long = on.as(agent, Agent).postStatus({ agentVersion: 'x'.repeat(256) });
  await refused(long, 'INVALID_ARGUMENT', /^agent_version is longer than 255/);
});

test('attestation is limited by address where the operator says so', async (t) => {
  const on = await stage(t, { config: { rateLimits: { attest: 1, sign: 2, postStatus: 1 } } });
  const agent = await on.agent();
  const stream = on.anonymous(Agent).attestAgent({ deadline: Date.now() + 500 });
  await refused(
    all(stream.responses),
    'RESOURCE_EXHAUSTED',
    /too many attestations from this address, more than 1 a second/,
  );
  const params = Array.from({ length: 3 }, () => ({ entryId: 'x', csr: Buffer.alloc(1) }));
  const batch = on.as(agent, SVID).batchNewX509SVID({ params });
  await refused(batch, 'RESOURCE_EXHAUSTED', /3 X\.509 signatures in one call are more than the 2 a second/);
});

test('an agent whose state permits nothing is refused at every RPC that issues', async (t) => {
  const on = await stage(t);
  const agent = await on.agent();
  const [entryId = ''] = await on.entries(entry('/w', agent.id));
  const stored = await on.server.store.get('node', agent.id);
  assert.ok(stored !== undefined);
  const value = { ...stored.value, attestationType: 'tpm', hostId: 'a'.repeat(64) };
  await on.server.store.commit([{ kind: 'node', key: agent.id, value }]);
  const csr = buildCsr({ key: newKey() });
  const sync = async () => {
    const stream = on.as(agent, Entry).syncAuthorizedEntries();
    await stream.send({});
    return all(stream.responses);
  };
  for (const call of [
    () => on.as(agent, SVID).batchNewX509SVID({ params: [{ entryId, csr }] }),
    () => on.as(agent, SVID).newJWTSVID({ entryId, audience: ['a'] }),
    () => on.as(agent, Entry).getAuthorizedEntries({}),
    () => on.as(agent, Agent).renewAgent({ params: { csr } }),
    sync,
  ]) {
    const error = await refused(call(), 'PERMISSION_DENIED', /the host of agent .* was forgotten/);
    assert.equal(reasonOf(error), 'AGENT_NOT_ATTESTED');
  }
});
