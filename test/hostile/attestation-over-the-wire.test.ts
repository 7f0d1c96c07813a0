import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { createRpcClient } from '../../src/rpc/client.js';
import { isRpcError } from '../../src/rpc/rpc-error.js';
import type { HostState } from '../../src/server/model.js';
import { makeSpiffeId, parseSpiffeId, type SpiffeId } from '../../src/spiffe/id.js';
import { Agent, AttestAgentRequestSchema } from '../../src/wire/gen/spire/server/agent_pb.js';
import { Entry } from '../../src/wire/gen/spire/server/entry_pb.js';
import { SVID } from '../../src/wire/gen/spire/server/svid_pb.js';
import { Host } from '../../src/wire/gen/touchmark/host/v1/host_pb.js';
import { HostState as WireState } from '../../src/wire/gen/touchmark/host/v1/state_pb.js';
import { type ServerMessage, Session } from '../../src/wire/gen/touchmark/session/v1/session_pb.js';
import { domain, paramsOf } from '../fakes/attest-world.js';
import { attacks, prepare } from '../fakes/attestation-attacks.js';
import { chipAgent, newCsr } from '../fakes/chip-agent.js';
import { genuine, hashOf, onlyKey } from '../fakes/chip-world.js';
import { until } from '../fakes/manual-clock.js';
import { agentChannel, operatorChannel, type TestServer } from '../fakes/test-server.js';
import { entryOf } from '../support/entries.js';
import {
  attestOverWire,
  chipServer,
  closeChannels,
  leafOf,
  rejectsRpc,
  track,
  type WireNode,
} from './wire-attester.js';

/** Opens a session and collects what it is sent. */
function openSession({ channel }: WireNode) {
  const stream = createRpcClient(Session, channel).open();
  const received: ServerMessage['message'][] = [];
  const ended = (async () => {
    await stream.send({ message: { case: 'hello', value: {} } });
    for await (const { message } of stream.responses) received.push(message);
  })().catch((error: unknown) => error);
  const cases = () => received.map((message) => message.case);
  return { stream, received, cases, ended };
}

async function addEntry(server: TestServer, parentId: SpiffeId, id: string): Promise<void> {
  const spiffeId = makeSpiffeId(domain, `/w/${id}`);
  const [outcome] = await server.context.entries.create([{ ...entryOf(id), parentId, spiffeId }]);
  assert.equal(outcome?.error, undefined);
}

after(closeChannels);

const nothing = { stop: async () => {} };

describe('a hostile agent on the wire', { timeout: 120_000 }, () => {
  let server: TestServer;
  before(async () => {
    server = await chipServer();
  });
  after(() => (server ?? nothing).stop());

  for (const attack of attacks) {
    it(`is refused with ${attack.name}`, async () => {
      const { chip, options } = await prepare(attack);
      await rejectsRpc(attack.code, attack.message, attestOverWire(server, chip, options));
      assert.equal(server.context.registry.nodeCount, 0);
    });
  }

  it('is refused when it relays the whole conversation of another server', async () => {
    await using other = await chipServer();
    const chip = genuine();
    // The victim speaks with `other` and sees its leaf; the relay hands every byte on to `server`.
    const task = attestOverWire(server, chip, { serverLeaf: await leafOf(other) });
    await rejectsRpc('activation_proof', /another connection$/, task);
  });

  it('is refused with a message larger than gRPC takes, and the server goes on', async () => {
    const payload = new Uint8Array(5 * 1024 * 1024);
    const task = attestOverWire(server, genuine(), { payload: () => payload });
    await assert.rejects(task, (error) => isRpcError(error, 'RESOURCE_EXHAUSTED'));
    await attestOverWire(server, genuine());
  });

  it('is refused out of turn', async () => {
    const channel = track(agentChannel(server));
    const run = async (...messages: Parameters<typeof create<typeof AttestAgentRequestSchema>>[1][]) => {
      const stream = createRpcClient(Agent, channel).attestAgent();
      for (const message of messages)
        await stream.send(create(AttestAgentRequestSchema, message)).catch(() => {});
      for await (const _ of stream.responses);
    };
    const answer = { step: { case: 'challengeResponse', value: new Uint8Array(3) } } as const;
    const agent = await chipAgent(genuine(), { serverLeaf: new Uint8Array() });
    await rejectsRpc('attestation_request_invalid', /first message does not hold params$/, run(answer));
    await rejectsRpc(
      'attestation_request_invalid',
      /lack the attestation data/,
      run({ step: { case: 'params', value: {} } }),
    );
    await rejectsRpc(
      'attestation_request_invalid',
      /not followed by its answer$/,
      run(paramsOf(agent), paramsOf(agent)),
    );
    const broken = {
      ...agent,
      csr: newCsr().map((byte, at, all) => (at === all.length - 1 ? byte ^ 1 : byte)),
    };
    await rejectsRpc('csr_invalid', /signature of the signing request is not good$/, run(paramsOf(broken)));
    await rejectsRpc(
      'attestor_unknown',
      /^there is no attestor "sshpop"$/,
      run(paramsOf({ ...agent, type: 'sshpop' })),
    );
    const refused = run(paramsOf({ ...agent, type: 'x509pop' }));
    await rejectsRpc('attestor_not_configured', /does not accept the attestor "x509pop"$/, refused);
    channel.close();
  });

  it('is refused as the second of two that race', async () => {
    const chip = genuine();
    const first = await attestOverWire(server, chip);
    let inner: Promise<WireNode> | undefined;
    const task = attestOverWire(server, chip, {
      evidence: async (good) => {
        inner ??= attestOverWire(server, chip);
        await inner;
        return good;
      },
    });
    await rejectsRpc('attestation_raced', /was changed while it attested$/, task);
    assert.equal(server.context.registry.node(parseSpiffeId(first.id))?.attestationNumber, 2);
  });

  it('does not come back under the other key of a banned chip', async () => {
    const chip = genuine({ templates: ['p256-l2', 'rsa2048-l1'] });
    const { id } = await attestOverWire(server, chip);
    const operator = track(operatorChannel(server));
    const path = id.slice('spiffe://example.org'.length);
    await createRpcClient(Agent, operator).banAgent({ id: { trustDomain: domain, path } });
    operator.close();
    for (const at of [0, 1]) {
      await rejectsRpc(
        'host_banned',
        /is banned: uid \d+ banned it$/,
        attestOverWire(server, chip, { hello: onlyKey(at) }),
      );
    }
  });
});

describe('a node on the wire', { timeout: 120_000 }, () => {
  it('gets SVIDs while its session lives, and none without it', async () => {
    await using server = await chipServer();
    const node = await attestOverWire(server, genuine());
    await addEntry(server, parseSpiffeId(node.id), 'a');
    const mint = () =>
      createRpcClient(SVID, node.channel).batchNewX509SVID({ params: [{ entryId: 'a', csr: newCsr() }] });
    await rejectsRpc('node_stale', /has no live session$/, mint());
    const session = openSession(node);
    await until('the session has begun', () => session.cases().includes('entries'));
    assert.deepEqual(session.cases(), ['verdict', 'bundles', 'entries']);
    assert.equal((await mint()).results[0]?.status?.code, 0);
    await addEntry(server, parseSpiffeId(node.id), 'b');
    await until('the change has come', () => session.cases().length === 4);
    session.stream.cancel();
    await session.ended;
    await until('the session is gone', () => server.context.sessions.count === 0);
    await rejectsRpc('node_stale', /has no live session$/, mint());
    node.channel.close();
  });

  const states: readonly [HostState, string][] = [
    ['suspect', 'host_suspect'],
    ['drifted', 'host_drifted'],
    ['quarantined', 'host_quarantined'],
    ['pending', 'host_pending'],
    ['retired', 'host_retired'],
    ['banned', 'host_banned'],
  ];
  for (const [state, code] of states) {
    it(`of a ${state} host is refused by every RPC that issues or hands out entries`, async () => {
      await using server = await chipServer();
      const chip = genuine();
      const node = await attestOverWire(server, chip);
      await addEntry(server, parseSpiffeId(node.id), 'a');
      const session = openSession(node);
      await until('the session has begun', () => session.cases().includes('entries'));
      const host = server.context.registry.host(hashOf(chip));
      assert.ok(host);
      await server.store.commit([{ kind: 'host', key: host.id, value: { ...host, state, graceEndsAt: 1 } }]);
      const svid = createRpcClient(SVID, node.channel);
      const entry = createRpcClient(Entry, node.channel);
      await rejectsRpc(code, /^host /, svid.batchNewX509SVID({ params: [{ entryId: 'a', csr: newCsr() }] }));
      await rejectsRpc(code, /^host /, svid.newJWTSVID({ entryId: 'a', audience: ['x'] }));
      await rejectsRpc(code, /^host /, entry.getAuthorizedEntries({}));
      const sync = entry.syncAuthorizedEntries();
      const synced = (async () => {
        await sync.send({});
        for await (const _ of sync.responses);
      })();
      await rejectsRpc(code, /^host /, synced);
      session.stream.cancel();
      await session.ended;
      node.channel.close();
    });
  }

  it('cannot hold its session open past its node SVID', async () => {
    await using server = await chipServer({}, { svid: { x509Ttl: 3600, jwtTtl: 300, agentTtl: 2 } });
    const node = await attestOverWire(server, genuine());
    const session = openSession(node);
    await until('the session has begun', () => session.cases().includes('entries'));
    await rejectsRpc(
      'session_svid_ended',
      /has ended$/,
      session.ended.then((error) => Promise.reject(error)),
    );
    assert.equal(server.context.sessions.isLive(parseSpiffeId(node.id)), false);
    node.channel.close();
  });

  it('loses its session to its own next attestation', async () => {
    await using server = await chipServer();
    const chip = genuine();
    const node = await attestOverWire(server, chip);
    const session = openSession(node);
    await until('the session has begun', () => session.cases().includes('entries'));
    await attestOverWire(server, chip);
    await rejectsRpc(
      'session_svid_ended',
      /took the place of/,
      session.ended.then((error) => Promise.reject(error)),
    );
    node.channel.close();
  });

  it('is told of its ban before its session ends', async () => {
    await using server = await chipServer();
    const node = await attestOverWire(server, genuine());
    const session = openSession(node);
    await until('the session has begun', () => session.cases().includes('entries'));
    const operator = track(operatorChannel(server));
    const path = node.id.slice('spiffe://example.org'.length);
    await createRpcClient(Agent, operator).banAgent({ id: { trustDomain: domain, path } });
    await rejectsRpc(
      'agent_banned',
      /is banned$/,
      session.ended.then((error) => Promise.reject(error)),
    );
    assert.equal(session.cases().at(-1), 'withdraw');
    operator.close();
    node.channel.close();
  });
});

describe('hosts on the operators’ socket', { timeout: 60_000 }, () => {
  it('wait, are approved by their code, named, quarantined and shown with all that is recorded', async () => {
    await using server = await chipServer({ enrol: 'approval' });
    const operator = track(operatorChannel(server));
    const hosts = createRpcClient(Host, operator);
    const chip = genuine();
    await rejectsRpc('enrolment_pending', /waits for an operator/, attestOverWire(server, chip));
    const [waiting] = (await hosts.listHosts({})).hosts;
    assert.equal(waiting?.id, hashOf(chip));
    assert.equal(waiting?.state, WireState.PENDING);
    const code = waiting?.pending?.code ?? '';
    const by = { case: 'code', value: code } as const;
    const approved = await hosts.approveHost({ by, name: 'edge-1', labels: { site: 'n' } });
    assert.deepEqual(
      [approved.id, approved.name, approved.enrolledBy],
      [hashOf(chip), 'edge-1', 'approval by uid 0'],
    );
    const node = await attestOverWire(server, chip);
    const session = openSession(node);
    await until('the session has begun', () => session.cases().includes('entries'));
    const shown = await hosts.getHost({ by: { case: 'name', value: 'edge-1' } });
    assert.equal(shown.state, WireState.UNMEASURED);
    assert.equal(shown.eks[0]?.algorithm, 'p-256');
    assert.equal(shown.eks[0]?.certificate?.manufacturer, 'TEST');
    assert.deepEqual([shown.attestation?.resetCount, shown.attestation?.attestationCount], [1, 1n]);
    await hosts.quarantineHost({ id: 'edge-1', reason: 'odd' });
    await until('it is withdrawn', () => session.cases().includes('withdraw'));
    const states = [WireState.QUARANTINED];
    assert.equal((await hosts.listHosts({ filter: { states, labels: { site: 'n' } } })).hosts.length, 1);
    assert.equal((await hosts.listHosts({ filter: { states, labels: { site: 'x' } } })).hosts.length, 0);
    await hosts.releaseHost({ id: hashOf(chip) });
    await until('it is served again', () => session.cases().filter((one) => one === 'entries').length === 2);
    session.stream.cancel();
    await session.ended;
    await hosts.forgetHost({ id: 'edge-1' });
    await rejectsRpc(
      'host_unknown',
      /^there is no host "edge-1"$/,
      hosts.getHost({ by: { case: 'name', value: 'edge-1' } }),
    );
    node.channel.close();
    operator.close();
  });

  it('are allowed in batches, item by item', async () => {
    await using server = await chipServer({ enrol: 'allow-list' });
    const operator = track(operatorChannel(server));
    const hosts = createRpcClient(Host, operator);
    const wanted = [
      { ekHash: 'ab'.repeat(32), name: 'a', labels: {} },
      { ekHash: 'nonsense', name: 'b', labels: {} },
      { ekHash: 'cd'.repeat(32), name: 'c', labels: {} },
    ];
    const { results } = await hosts.allowHosts({ hosts: wanted });
    assert.deepEqual(
      results.map(({ status }) => status?.code),
      [0, 3, 0],
    );
    assert.match(results[1]?.status?.message ?? '', /^"nonsense" is not the hash of an endorsement key$/);
    const first = await hosts.listHosts({ pageSize: 1 });
    const second = await hosts.listHosts({ pageSize: 1, pageToken: first.nextPageToken });
    assert.deepEqual([first.hosts[0]?.name, second.hosts[0]?.name, second.nextPageToken], ['a', 'c', '']);
    operator.close();
  });
});
