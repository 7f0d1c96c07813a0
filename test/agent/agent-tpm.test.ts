import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { startAgent } from '../../src/agent/context.js';
import { systemClock } from '../../src/clock.js';
import type { AgentConfig } from '../../src/config/agent-config.js';
import { createLogger } from '../../src/log.js';
import { bundleToPem } from '../../src/spiffe/bundle-certificates.js';
import { parseTrustDomain } from '../../src/spiffe/id.js';
import { tpmConfig } from '../fakes/attest-world.js';
import { genuine, hashOf, testVendor } from '../fakes/chip-world.js';
import { until } from '../fakes/manual-clock.js';
import type { SoftwareTpm } from '../fakes/software-tpm.js';
import { startTestServer } from '../fakes/test-server.js';

async function begin(t: test.TestContext, chip: SoftwareTpm, enrol: 'approval' | 'any-genuine') {
  const directory = await mkdtemp(join(tmpdir(), 'tm-chip-'));
  await writeFile(join(directory, 'vendor.pem'), testVendor.pem);
  const anchorPaths = [join(directory, 'vendor.pem')];
  const server = await startTestServer({
    config: { attestation: { tpm: { ...tpmConfig, enrol, anchorPaths } } },
  });
  await writeFile(join(directory, 'bundle.pem'), bundleToPem(server.context.authority.bundle()));
  const lines: Record<string, unknown>[] = [];
  const status: string[] = [];
  const ended = new AbortController();
  const write = (line: string) => void lines.push(JSON.parse(line));
  const nothing = () => {};
  const agent = await startAgent(configFor(directory, server.port), {
    log: createLogger({ format: 'json', write, clock: systemClock, journal: false }, 'debug'),
    clock: systemClock,
    signal: ended.signal,
    agentVersion: '0.0.0-test',
    notifier: {
      ready: nothing,
      status: (line) => status.push(line),
      watchdog: nothing,
      stopping: nothing,
      reloading: nothing,
      watchdogMs: undefined,
    },
    serveWorkloads: async () => ({ async [Symbol.asyncDispose]() {} }),
    openTpm: async () => chip,
    environment: {},
  });
  t.after(async () => {
    ended.abort();
    await agent[Symbol.asyncDispose]();
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  });
  return { agent, server, lines, status };
}

function configFor(directory: string, serverPort: number): AgentConfig {
  return {
    trustDomain: parseTrustDomain('example.org'),
    dataDir: join(directory, 'data'),
    serverAddress: '127.0.0.1',
    serverPort,
    socketPath: join(directory, 'api.sock'),
    adminSocketPath: '',
    log: { level: 'info', format: 'json' },
    trustBundleFile: join(directory, 'bundle.pem'),
    insecureBootstrap: false,
    attestation: { type: 'tpm', tcti: 'none', endorsementAuthFile: '', akGeneration: 0 },
    measurement: { securityfs: join(directory, 'securityfs'), userspaceLog: join(directory, 'measure.log') },
    workloadKeyType: 'ec-p256',
    workloadAttestors: {},
    allowUnauthenticatedVerifiers: false,
    limits: { connectionsPerUid: 10, streamsPerUid: 10, jwtCache: 10 },
  };
}

test('a genuine chip attests to the server and is named by its endorsement key', async (t) => {
  const chip = genuine();
  const { agent } = await begin(t, chip, 'any-genuine');
  await until('connected', () => agent.store.status.connected);
  assert.equal(agent.store.status.id, `spiffe://example.org/spire/agent/tpm/${hashOf(chip)}`);
  await until('serving', () => agent.store.status.phase === 'serving');
});

test('a chip that nobody knows shows a code, and is let in after its approval', async (t) => {
  const chip = genuine();
  const { agent, server, lines, status } = await begin(t, chip, 'approval');
  await until('a code is shown', () => agent.store.status.approvalCode !== '');
  const { approvalCode } = agent.store.status;
  assert.match(approvalCode, /^[0-9A-Z]{4}-[0-9A-Z]{4}$/);
  const verb = `approve with: touchmark-server host approve ${approvalCode}`;
  await until('told', () => status.includes(`waiting for approval; ${verb}`));
  assert.equal(
    lines.filter(({ message }) => message === `this host waits for an operator; ${verb}`).length,
    1,
  );
  await server.context.hosts.approve(approvalCode, { name: 'edge-1', labels: {} }, 'test');
  await until('connected', () => agent.store.status.connected, 8_000);
  assert.equal(agent.store.status.approvalCode, '');
});
