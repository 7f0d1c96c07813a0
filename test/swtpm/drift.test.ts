import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../fakes/manual-clock.js';
import { haveSwtpm } from '../support/swtpm.js';
import { begin, group, known, policy, yaml } from './measured-world.js';

test('a host drifts by an unknown program, and is back when it is accepted', async (t) => {
  if (!(await haveSwtpm(t))) return;
  const { host, agent, operator, stream, server, hostId, lines } = await begin(t);
  const first = await stream().next();
  assert.equal(agent.store.status.state, 'unmeasured');
  await operator.good('apply -f -', [known('web'), policy, group].map(yaml).join(''));
  await until('trusted', () => agent.store.status.state === 'trusted').catch((error: unknown) => {
    t.diagnostic(lines.join(''));
    t.diagnostic(JSON.stringify(server.context.registry.host(hostId)?.reasons));
    throw error;
  });

  const held = stream();
  await held.next();
  await host.extendFile('/tmp/unknown', 'unknown');
  const { rpc, code } = await held.end(5_000);
  assert.deepEqual([rpc, code], ['PERMISSION_DENIED', 'identities_withdrawn']);
  assert.deepEqual([agent.store.status.state, agent.store.counts.x509], ['drifted', 0]);
  assert.match(JSON.stringify(agent.store.status.reasons), /\/tmp\/unknown/);

  const said = await operator.good(`host explain ${hostId}`);
  assert.match(said, /State +: drifted since/);
  assert.match(said, /file_unknown: entry 4 of the IMA list measured "\/tmp\/unknown"/);
  assert.match(said, /kind: ReferenceSet[\s\S]*path: \/tmp\/unknown/);
  assert.match(said, /trusted -> drifted/);
  const { explained, history } = await operator.json(`host explain ${hostId}`);
  assert.deepEqual([explained.verdict, history[0].to], ['drifted', 'drifted']);

  await operator.good('apply -f -', yaml(known('web', 'unknown')));
  await until('trusted again', () => agent.store.status.phase === 'serving');
  const again = await stream().next();
  assert.equal(again.svids[0]?.spiffeId, first.svids[0]?.spiffeId);
  assert.notDeepEqual(again.svids[0]?.x509SvidKey, first.svids[0]?.x509SvidKey);
});
