import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { startAgent } from '../../src/agent/context.js';
import { serveWorkloads } from '../../src/agent/workloads/serve.js';
import { program } from '../../src/cli/server/program.js';
import { systemClock } from '../../src/clock.js';
import type { AgentConfig } from '../../src/config/agent-config.js';
import { openTpm } from '../../src/host/tpm.js';
import { createLogger } from '../../src/log.js';
import { unixChannel } from '../../src/rpc/channel.js';
import { bundleToPem } from '../../src/spiffe/bundle-certificates.js';
import { parseTrustDomain } from '../../src/spiffe/id.js';
import { header, mine, reader, workloadClient } from '../agent/workloads/support.js';
import { typist } from '../cli/type.js';
import { tpmConfig } from '../fakes/attest-world.js';
import { until } from '../fakes/manual-clock.js';
import { startTestServer } from '../fakes/test-server.js';
import { startFakeHost } from '../support/fake-host.js';
import { haveSwtpm } from '../support/swtpm.js';

const pcrs = Array.from({ length: 16 }, (_, pcr) => pcr);
const rules = 'measure func=BPRM_CHECK mask=MAY_EXEC\n';
const sha256 = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`;
const yaml = (document: unknown) => `${JSON.stringify(document)}\n---\n`;

const policy = {
  ...{ kind: 'MeasurementPolicy', name: 'fleet', references: ['known'] },
  runtime: { rules: { policies: [sha256(rules)] }, agentMeasured: false },
};
const group = { kind: 'HostGroup', name: 'all', policy: 'fleet' };
const known = (...files: string[]) => ({
  ...{ kind: 'ReferenceSet', name: 'known' },
  files: files.map((content) => ({ digest: sha256(content), path: '' })),
});

/** Server, agent and workload of a host whose chip and logs are a software TPM's. */
async function begin(t: TestContext) {
  const { chip, host, measurement } = await startFakeHost(t);
  const { directory } = chip;
  await host.extendFile('/etc/ima/ima-policy', rules);
  await host.extendFile('/usr/bin/web', 'web');
  await writeFile(join(directory, 'vendor.pem'), `${chip.rootPem}${chip.issuerPem}`);
  const anchorPaths = [join(directory, 'vendor.pem')];
  const tpm = { ...tpmConfig, pcrs, anchorPaths, anyGenuineAlgorithm: 'rsa2048' } as const;
  const server = await startTestServer({ config: { attestation: { tpm } } });
  t.after(() => server.stop());
  await writeFile(join(directory, 'bundle.pem'), bundleToPem(server.context.authority.bundle()));
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  const log = createLogger({ format: 'text', write, clock: systemClock, journal: false }, 'info');
  const config: AgentConfig = {
    ...{ trustDomain: parseTrustDomain('example.org'), dataDir: join(directory, 'data') },
    ...{ serverAddress: '127.0.0.1', serverPort: server.port, log: { level: 'info', format: 'text' } },
    ...{ socketPath: join(directory, 'api.sock'), adminSocketPath: '', insecureBootstrap: false },
    trustBundleFile: join(directory, 'bundle.pem'),
    attestation: { type: 'tpm', tcti: chip.tcti, endorsementAuthFile: '', akGeneration: 0 },
    ...{ measurement, workloadKeyType: 'ec-p256', allowUnauthenticatedVerifiers: false },
    workloadAttestors: { unix: { path: false, sha256: false, sizeLimit: 1 } },
    limits: { connectionsPerUid: 10, streamsPerUid: 10, jwtCache: 10 },
  };
  const ended = new AbortController();
  const nothing = () => {};
  const agent = await startAgent(config, {
    ...{ log, clock: systemClock, signal: ended.signal, agentVersion: 'test', environment: {}, openTpm },
    notifier: {
      ...{ ready: nothing, status: nothing, watchdog: nothing, stopping: nothing, reloading: nothing },
      watchdogMs: undefined,
    },
    serveWorkloads: (deps) => serveWorkloads(deps),
  });
  t.after(async () => {
    ended.abort();
    await agent[Symbol.asyncDispose]();
  });
  await until('connected', () => agent.store.status.phase === 'serving');
  const channel = unixChannel(config.socketPath);
  t.after(() => channel.close());
  const operator = typist(program, { TOUCHMARK_SERVER_SOCKET: server.socketPath });
  const parentID = agent.store.status.id ?? '';
  await operator.good(
    `entry create -parentID ${parentID} -spiffeID spiffe://example.org/web -selector ${mine}`,
  );
  const stream = () => reader(workloadClient(channel).fetchX509SVID({}, header));
  const hostId = parentID.split('/').at(-1) ?? '';
  return { host, agent, server, operator, stream, hostId, lines };
}

test('a host drifts within two seconds of an unknown program, and is back when it is accepted', async (t) => {
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
  const began = performance.now();
  await host.extendFile('/tmp/unknown', 'unknown');
  const { rpc, code } = await held.end(5_000);
  const driftMs = performance.now() - began;
  assert.deepEqual([rpc, code], ['PERMISSION_DENIED', 'identities_withdrawn']);
  t.diagnostic(`unknown program run -> workload's stream ended: ${driftMs.toFixed(0)} ms`);
  assert.ok(driftMs < 2_000, `${driftMs} ms`);
  assert.deepEqual([agent.store.status.state, agent.store.counts.x509], ['drifted', 0]);
  assert.match(JSON.stringify(agent.store.status.reasons), /\/tmp\/unknown/);

  const said = await operator.good(`host explain ${hostId}`);
  assert.match(said, /State +: drifted since/);
  assert.match(said, /file_unknown: entry 4 of the IMA list measured "\/tmp\/unknown"/);
  assert.match(said, /kind: ReferenceSet[\s\S]*path: \/tmp\/unknown/);
  assert.match(said, /trusted -> drifted/);
  const { explained, history } = await operator.json(`host explain ${hostId}`);
  assert.deepEqual([explained.verdict, history[0].to], ['drifted', 'drifted']);

  const accepted = performance.now();
  await operator.good('apply -f -', yaml(known('web', 'unknown')));
  await until('trusted again', () => agent.store.status.phase === 'serving');
  const again = await stream().next();
  t.diagnostic(`accepted -> identity back: ${(performance.now() - accepted).toFixed(0)} ms`);
  assert.equal(again.svids[0]?.spiffeId, first.svids[0]?.spiffeId);
  assert.notDeepEqual(again.svids[0]?.x509SvidKey, first.svids[0]?.x509SvidKey);
});
