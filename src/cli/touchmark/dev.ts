import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Disposal } from '../../disposal.js';
import { TouchmarkError } from '../../errors.js';
import { type RpcChannel, unixChannel } from '../../rpc/channel.js';
import { createRpcClient } from '../../rpc/client.js';
import { trustDomainFromOperator } from '../../spiffe/id.js';
import { Health, HealthCheckResponse_ServingStatus as Serving } from '../../wire/gen/grpc/health_pb.js';
import { Agent } from '../../wire/gen/spire/server/agent_pb.js';
import { Bundle } from '../../wire/gen/spire/server/bundle_pb.js';
import { writePemCertificates } from '../../x509/pem.js';
import { untilAborted } from '../until-aborted.js';
import type { Verb, VerbContext } from '../verb.js';
import { startMeasuredChip } from './dev-chip.js';
import { agentToml, type DevLayout, type DevMachine, devLayout, serverToml } from './dev-config.js';
import { type DevProcess, startDaemon } from './dev-process.js';

const START_MS = 60_000;

/** A throw-away trust domain: a chip, a server and an agent, gone when the command ends. */
export const devVerb: Verb = {
  name: 'dev',
  summary: 'Start a throw-away trust domain; one JSON line says where it is, a signal ends it.',
  example: 'touchmark dev --trust-domain example.org',
  flags: [
    { name: 'no-tpm', type: 'boolean', doc: 'Join by token instead of a software TPM.' },
    { name: 'no-rate-limits', type: 'boolean', doc: 'Lift the rate limits, for load tests.' },
    { name: 'dir', type: 'string', doc: 'Directory to use; otherwise one below the temporary directory.' },
    { name: 'trust-domain', type: 'string', doc: 'Its name.', default: 'dev.test' },
  ],
  run: async (context) => {
    await using stack = new Disposal();
    const layout = await prepare(context, stack);
    const chip = context.flags.boolean('no-tpm')
      ? undefined
      : await startMeasuredChip(join(layout.directory, 'tpm'), layout.anchors, stack);
    const server = await startServer(layout, chip !== undefined, stack);
    const agent = await startAgent(layout, chip, stack);
    context.out.text(`${JSON.stringify(await describe(layout, server, agent))}\n`);
    await Promise.race([untilAborted(context.signal), server.failure, agent.failure]);
    return 0;
  },
};

async function prepare({ flags }: VerbContext, stack: Disposal): Promise<DevLayout> {
  const given = flags.string('dir');
  const directory = given === '' ? await mkdtemp(join(tmpdir(), 'tm-')) : given;
  const made = given === '' ? directory : await mkdir(directory, { recursive: true, mode: 0o755 });
  // Workloads of other users must be able to reach the socket.
  if (given === '') await chmod(directory, 0o755);
  stack.defer(async () => {
    if (made !== undefined) await rm(made, { recursive: true, force: true });
  });
  return devLayout(directory, {
    trustDomain: trustDomainFromOperator(flags.string('trust-domain')),
    serverPort: await freePort(),
    rateLimits: !flags.boolean('no-rate-limits'),
  });
}

async function startServer(layout: DevLayout, tpm: boolean, stack: Disposal): Promise<DevProcess> {
  await writeFile(layout.serverConfig, serverToml(layout, tpm));
  const log = join(layout.directory, 'server.log');
  const server = stack.use(startDaemon('touchmark-server', ['run', '-config', layout.serverConfig], log));
  await Promise.race([untilServing(layout.serverSocket), server.failure]);
  return server;
}

async function startAgent(
  layout: DevLayout,
  machine: DevMachine | undefined,
  stack: Disposal,
): Promise<DevProcess> {
  await withChannel(layout.serverSocket, async (channel) => {
    const bundle = await createRpcClient(Bundle, channel).getBundle({});
    await writeFile(layout.bootstrap, writePemCertificates(bundle.x509Authorities.map(({ asn1 }) => asn1)));
    if (machine !== undefined) return;
    const token = await createRpcClient(Agent, channel).createJoinToken({ ttl: 600 });
    await writeFile(layout.tokenFile, token.value, { mode: 0o600 });
  });
  await writeFile(layout.agentConfig, agentToml(layout, machine));
  const log = join(layout.directory, 'agent.log');
  const agent = stack.use(startDaemon('touchmark-agent', ['run', '-config', layout.agentConfig], log));
  await Promise.race([untilServing(layout.workloadSocket), agent.failure]);
  return agent;
}

async function describe(
  layout: DevLayout,
  server: DevProcess,
  agent: DevProcess,
): Promise<Record<string, unknown>> {
  const { agents } = await withChannel(layout.serverSocket, (channel) =>
    createRpcClient(Agent, channel).listAgents({}),
  );
  const id = agents[0]?.id;
  return {
    dir: layout.directory,
    trustDomain: layout.trustDomain,
    serverSocket: layout.serverSocket,
    serverAddress: `127.0.0.1:${layout.serverPort}`,
    workloadSocket: layout.workloadSocket,
    agentId: id ? `spiffe://${id.trustDomain}${id.path}` : '',
    serverPid: server.pid,
    agentPid: agent.pid,
  };
}

/** A daemon is asked until it serves: it is only just being started, and there is nothing to be told by. */
async function untilServing(socket: string): Promise<void> {
  await withChannel(socket, async (channel) => {
    const health = createRpcClient(Health, channel);
    for (const end = Date.now() + START_MS; Date.now() < end; await sleep(25)) {
      const answer = await health
        .check({ service: '' }, { deadline: Date.now() + 1_000 })
        .catch(() => undefined);
      if (answer?.status === Serving.SERVING) return;
    }
    const waited = `${START_MS / 1000} s`;
    throw new TouchmarkError(
      'dev_failed',
      `nothing serves on ${socket} after ${waited}; see the logs beside it`,
    );
  });
}

async function withChannel<T>(socket: string, use: (channel: RpcChannel) => Promise<T>): Promise<T> {
  const channel = unixChannel(socket, { maxBackoffMs: 200 });
  try {
    return await use(channel);
  } finally {
    channel.close();
  }
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return typeof address === 'object' && address ? address.port : 0;
}
