import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { startAgent } from '../../src/agent/context.js';
import { serveWorkloads } from '../../src/agent/workloads/serve.js';
import { program } from '../../src/cli/server/program.js';
import { systemClock } from '../../src/clock.js';
import type { AgentConfig } from '../../src/config/agent-config.js';
import type { ServerConfig } from '../../src/config/server-config.js';
import { openTpm } from '../../src/host/open-tpm.js';
import { defaultCommandLine } from '../../src/host/swtpm/boot-events.js';
import type { MeasuredHost } from '../../src/host/swtpm/measured-host.js';
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

const pcrs = Array.from({ length: 16 }, (_, pcr) => pcr);
const rules = 'measure func=BPRM_CHECK mask=MAY_EXEC\n';
export const sha256 = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`;
export const yaml = (document: unknown) => `${JSON.stringify(document)}\n---\n`;

export const policy = {
  ...{ kind: 'MeasurementPolicy', name: 'fleet', references: ['known'] },
  runtime: { rules: { policies: [sha256(rules)] }, agentMeasured: false },
};
export const group = { kind: 'HostGroup', name: 'all', policy: 'fleet' };
export const known = (...files: string[]) => ({
  ...{ kind: 'ReferenceSet', name: 'known' },
  // What sets the first rules of IMA, and what else stands where a command line may stand.
  commandLines: [defaultCommandLine],
  bootChain: [{ digest: sha256('touchmark-dev initrd') }],
  files: files.map((content) => ({ digest: sha256(content), path: '' })),
});

export interface Options {
  /** Done to the host before its agent looks at it. */
  readonly prepare?: (host: MeasuredHost) => Promise<void>;
  readonly server?: Partial<ServerConfig>;
  readonly workloadAttestors?: AgentConfig['workloadAttestors'];
}

/** Server, agent and workload of a host whose chip and logs are a software TPM's. */
export async function begin(t: Pick<TestContext, 'after'>, options: Options = {}) {
  const { chip, host, measurement } = await startFakeHost(t);
  const { directory } = chip;
  await host.extendFile('/etc/ima/ima-policy', rules);
  await host.extendFile('/usr/bin/web', 'web');
  await options.prepare?.(host);
  await writeFile(join(directory, 'vendor.pem'), `${chip.rootPem}${chip.issuerPem}`);
  const anchorPaths = [join(directory, 'vendor.pem')];
  const tpm = { ...tpmConfig, pcrs, anchorPaths, anyGenuineAlgorithm: 'rsa2048' } as const;
  const server = await startTestServer({ config: { attestation: { tpm }, ...options.server } });
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
    workloadAttestors: options.workloadAttestors ?? { unix: { path: false, sha256: false, sizeLimit: 1 } },
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
  return { host, agent, server, operator, stream, hostId, parentID, lines };
}
