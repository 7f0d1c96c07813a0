import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { createRpcClient } from '../../src/rpc/client.js';
import type { HostState } from '../../src/server/model.js';
import { makeSpiffeId, parseSpiffeId, type SpiffeId } from '../../src/spiffe/id.js';
import { Agent } from '../../src/wire/gen/spire/server/agent_pb.js';
import { Entry } from '../../src/wire/gen/spire/server/entry_pb.js';
import { SVID } from '../../src/wire/gen/spire/server/svid_pb.js';
import { domain } from '../fakes/attest-world.js';
import { newCsr } from '../fakes/chip-agent.js';
import { genuine, hashOf } from '../fakes/chip-world.js';
import { until } from '../fakes/manual-clock.js';
import { operatorChannel, type TestServer } from '../fakes/test-server.js';
import { entryOf } from '../support/entries.js';
import {
  attestOverWire,
  chipServer,
  closeChannels,
  openSession,
  rejectsRpc,
  track,
} from './wire-attester.js';

async function addEntry(server: TestServer, parentId: SpiffeId, id: string): Promise<void> {
  const spiffeId = makeSpiffeId(domain, `/w/${id}`);
  const [outcome] = await server.context.entries.create([{ ...entryOf(id), parentId, spiffeId }]);
  assert.equal(outcome?.error, undefined);
}

after(closeChannels);

describe('a node on the wire', { timeout: 120_000 }, () => {
  it('gets SVIDs while its session lives, and none without it', async () => {
    await using server = await chipServer();
    const node = await attestOverWire(server, genuine());
    await addEntry(server, parseSpiffeId(node.id), 'a');
    const mint = () =>
      createRpcClient(SVID, node.channel).batchNewX509SVID({ params: [{ entryId: 'a', csr: newCsr() }] });
    await rejectsRpc('node_stale', /has no live session with recent evidence$/, mint());
    const session = openSession(node);
    await until('the session has begun', () => session.cases().includes('entries'));
    assert.deepEqual(session.cases(), ['verdict', 'bundles', 'entries']);
    assert.equal((await mint()).results[0]?.status?.code, 0);
    await addEntry(server, parseSpiffeId(node.id), 'b');
    await until('the change has come', () => session.cases().length === 4);
    session.stream.cancel();
    await session.ended;
    await until('the session is gone', () => server.context.sessions.count === 0);
    await rejectsRpc('node_stale', /has no live session with recent evidence$/, mint());
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

  it('is banned with its chip in one step, or not at all', async () => {
    await using server = await chipServer();
    const chip = genuine();
    const { id } = await attestOverWire(server, chip);
    const operator = track(operatorChannel(server));
    const path = id.slice('spiffe://example.org'.length);
    const ban = () => createRpcClient(Agent, operator).banAgent({ id: { trustDomain: domain, path } });
    const seen = () => {
      const { registry } = server.context;
      const node = registry.node(parseSpiffeId(id));
      return [node?.banned, node?.serial === '', registry.host(hashOf(chip))?.state];
    };
    server.store.failAsFull(true);
    await rejectsRpc('datastore_full', /is full$/, ban());
    assert.deepEqual(seen(), [false, false, 'unmeasured']);
    server.store.failAsFull(false);
    const commits: string[][] = [];
    const stop = server.store.subscribe(({ writes }) => commits.push(writes.map(({ kind }) => kind).sort()));
    await ban();
    stop();
    assert.deepEqual(seen(), [true, true, 'banned']);
    const changed = (kinds: string[]) => kinds.filter((kind) => kind === 'host' || kind === 'node');
    assert.deepEqual(
      commits.map(changed).filter((kinds) => kinds.length > 0),
      [['host', 'node']],
    );
    operator.close();
  });
});
