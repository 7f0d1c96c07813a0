import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { createRpcClient } from '../../src/rpc/client.js';
import { Host } from '../../src/wire/gen/touchmark/host/v1/host_pb.js';
import { HostState as WireState } from '../../src/wire/gen/touchmark/host/v1/state_pb.js';
import { genuine, hashOf } from '../fakes/chip-world.js';
import { until } from '../fakes/manual-clock.js';
import { operatorChannel } from '../fakes/test-server.js';
import {
  attestOverWire,
  chipServer,
  closeChannels,
  openSession,
  rejectsRpc,
  track,
} from './wire-attester.js';

after(closeChannels);

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
