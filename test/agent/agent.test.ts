import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { type Agent, startAgent } from '../../src/agent/context.js';
import { systemClock } from '../../src/clock.js';
import type { AgentConfig } from '../../src/config/agent-config.js';
import type { Notifier } from '../../src/host/notify.js';
import { createLogger } from '../../src/log.js';
import { unixChannel } from '../../src/rpc/channel.js';
import { createRpcClient } from '../../src/rpc/client.js';
import { bundleToPem } from '../../src/spiffe/bundle-certificates.js';
import { parseTrustDomain } from '../../src/spiffe/id.js';
import { Agent as AgentService } from '../../src/wire/gen/spire/server/agent_pb.js';
import { Entry as EntryService } from '../../src/wire/gen/spire/server/entry_pb.js';
import { until } from '../fakes/manual-clock.js';
import { startTestServer, type TestServerOptions } from '../fakes/test-server.js';
import { tcpProxy } from '../support/tcp-proxy.js';

const never = new AbortController().signal;

const running = new WeakMap<test.TestContext, Started[]>();

/** A real server and what is needed to start real agents against it, all in this process. */
async function world(t: test.TestContext, options: TestServerOptions = {}) {
  const server = await startTestServer(options);
  const directory = await mkdtemp(join(tmpdir(), 'tm-agent-'));
  const channel = unixChannel(server.socketPath);
  const agentsOf: Started[] = [];
  running.set(t, agentsOf);
  // Hooks run in the order of their making, so this is one: agents first, then their server.
  t.after(async () => {
    for (const started of agentsOf) await started.stop();
    channel.close();
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  });
  const agents = createRpcClient(AgentService, channel);
  const entries = createRpcClient(EntryService, channel);
  await writeFile(join(directory, 'bundle.pem'), bundleToPem(server.context.authority.bundle()));
  const { value: token } = await agents.createJoinToken({ ttl: 600 });
  await writeFile(join(directory, 'token'), `${token}\n`);
  return { server, directory, agents, entries, token };
}

function configFor(directory: string, port: number, change: Partial<AgentConfig> = {}): AgentConfig {
  return {
    trustDomain: parseTrustDomain('example.org'),
    dataDir: join(directory, 'data'),
    serverAddress: '127.0.0.1',
    serverPort: port,
    socketPath: join(directory, 'api.sock'),
    adminSocketPath: '',
    log: { level: 'info', format: 'json' },
    trustBundleFile: join(directory, 'bundle.pem'),
    insecureBootstrap: false,
    attestation: { type: 'join_token', tokenFile: join(directory, 'token') },
    measurement: { securityfs: join(directory, 'securityfs'), userspaceLog: join(directory, 'measure.log') },
    workloadKeyType: 'ec-p256',
    workloadAttestors: { unix: { path: false, sha256: false, sizeLimit: 0 } },
    allowUnauthenticatedVerifiers: false,
    limits: { connectionsPerUid: 10, streamsPerUid: 10, jwtCache: 10 },
    ...change,
  };
}

interface Started {
  readonly agent: Agent;
  readonly lines: Record<string, unknown>[];
  readonly notified: string[];
  stop(): Promise<void>;
}

async function start(t: test.TestContext, config: AgentConfig): Promise<Started> {
  const lines: Record<string, unknown>[] = [];
  const notified: string[] = [];
  const ended = new AbortController();
  const write = (line: string) => void lines.push(JSON.parse(line));
  const agent = await startAgent(config, {
    log: createLogger({ format: 'json', write, clock: systemClock, journal: false }, 'debug'),
    clock: systemClock,
    signal: ended.signal,
    agentVersion: '0.0.0-test',
    notifier: recordingNotifier(notified),
    serveWorkloads: async () => {
      notified.push('listening');
      return { async [Symbol.asyncDispose]() {} };
    },
    openTpm: () => Promise.reject(new Error('there is no TPM here')),
    environment: {},
  });
  let stopped = false;
  const stop = async () => {
    if (stopped) return;
    stopped = true;
    ended.abort();
    await agent[Symbol.asyncDispose]();
  };
  const started = { agent, lines, notified, stop };
  running.get(t)?.push(started);
  return started;
}

function recordingNotifier(notified: string[]): Notifier {
  return {
    ready: () => notified.push('READY'),
    status: (text) => notified.push(text),
    watchdog: () => notified.push('WATCHDOG'),
    stopping: () => notified.push('STOPPING'),
    reloading: () => {},
    watchdogMs: 200,
  };
}

function registration(parent: string, path: string) {
  return {
    spiffeId: { trustDomain: 'example.org', path },
    parentId: { trustDomain: 'example.org', path: parent },
    selectors: [{ type: 'unix', value: 'uid:1000' }],
  };
}

test('an agent with a join token attests, is ready, and has a new entry signed within milliseconds', async (t) => {
  const { server, directory, entries, token } = await world(t);
  const { agent, lines, notified } = await start(t, configFor(directory, server.port));
  assert.deepEqual(notified.slice(0, 2), ['attesting this node', 'listening']);
  await agent.ready;
  assert.ok(notified.indexOf('READY') > notified.indexOf('listening'));
  const parent = `/spire/agent/join_token/${token}`;
  assert.equal(agent.store.status.id, `spiffe://example.org${parent}`);
  await until('serving', () => agent.store.status.phase === 'serving');
  const begun = performance.now();
  const { results } = await entries.batchCreateEntry({ entries: [registration(parent, '/web')] });
  const id = results[0]?.entry?.id ?? '';
  await until('the entry is signed', () => agent.store.x509(id) !== undefined);
  const took = performance.now() - begun;
  t.diagnostic(`entry created -> SVID held: ${took.toFixed(1)} ms`);
  assert.ok(took < 1_000, `${took} ms`);
  const jwt = await agent.store.jwt(agent.store.x509(id)?.entry ?? assert.fail('no entry'), ['x'], never);
  assert.equal(jwt.id, 'spiffe://example.org/web');
  await entries.batchDeleteEntry({ ids: [id] });
  await until('the entry is gone', () => agent.store.entries().size === 0);
  assert.equal(agent.store.x509(id), undefined);
  await until('the watchdog is fed', () => notified.includes('WATCHDOG'));
  assert.ok(!JSON.stringify(lines).includes(`"${token}"`), 'the token itself is never logged');
});

test('the newest bundle is kept, readable to its owner only, and believed at the next start', async (t) => {
  const { server, directory, agents } = await world(t);
  const config = configFor(directory, server.port);
  const first = await start(t, config);
  await first.agent.ready;
  await until('serving', () => first.agent.store.status.phase === 'serving');
  const slots = server.context.authority.x509;
  const prepared = await slots.prepare();
  await slots.activate(prepared.id);
  await until('the new authority arrived', () => first.agent.store.bundles?.own.x509Authorities.length === 2);
  await first.stop();
  const path = join(directory, 'data', 'bundle.json');
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.equal(JSON.parse(await readFile(path, 'utf8')).trustDomain, 'example.org');
  // A second life, whose server shows a certificate of the authority that the bootstrap file does not have.
  const { value } = await agents.createJoinToken({ ttl: 600 });
  await writeFile(join(directory, 'token'), value);
  const second = await start(t, config);
  await until('connected', () => second.agent.store.status.connected);
});

test('a server of another authority is not believed, the agent says so and stays', async (t) => {
  const { server, directory } = await world(t);
  const other = await startTestServer();
  t.after(() => other.stop());
  const { agent, lines } = await start(t, configFor(directory, other.port));
  const refusal = () => lines.find(({ message }) => message === 'node attestation failed');
  await until('it was tried', () => refusal() !== undefined);
  assert.equal(refusal()?.['code'], 'server_untrusted');
  assert.match(
    String(refusal()?.['error']),
    /^the server could not be recognised as spiffe:\/\/example.org\/spire\/server: /,
  );
  assert.equal(agent.store.status.phase, 'starting');
  assert.ok(server.port !== other.port);
});

test('with an insecure bootstrap the first server is believed, loudly, and only the first', async (t) => {
  const { server, directory } = await world(t);
  const config = configFor(directory, server.port, { trustBundleFile: '', insecureBootstrap: true });
  const first = await start(t, config);
  await until('connected', () => first.agent.store.status.connected);
  const loud = first.lines.filter(
    ({ level, message }) => level === 'warn' && /INSECURE/.test(String(message)),
  );
  assert.equal(loud.length, 2);
  await first.stop();
  const other = await startTestServer();
  t.after(() => other.stop());
  const second = await start(t, { ...config, serverPort: other.port });
  await until('it was refused', () => second.lines.some(({ code }) => code === 'server_untrusted'));
});

test('without any bundle the agent does not start', async (t) => {
  const { server, directory } = await world(t);
  await assert.rejects(start(t, configFor(directory, server.port, { trustBundleFile: '' })), {
    code: 'bootstrap_missing',
    message: 'there is no bundle of example.org by which its server could be recognised',
  });
  const trustBundleFile = join(directory, 'nowhere.pem');
  await assert.rejects(start(t, configFor(directory, server.port, { trustBundleFile })), {
    code: 'bootstrap_missing',
    message: `the trust bundle file ${trustBundleFile} does not exist`,
  });
});

test('a second agent on the same data directory is refused', async (t) => {
  const { server, directory } = await world(t);
  const config = configFor(directory, server.port);
  const { agent } = await start(t, config);
  await until('connected', () => agent.store.status.connected);
  await assert.rejects(start(t, config), { code: 'directory_locked' });
});

test('a missing join token is told and waited for', async (t) => {
  const { server, directory } = await world(t);
  const tokenFile = join(directory, 'later');
  const config = configFor(directory, server.port, { attestation: { type: 'join_token', tokenFile } });
  const { agent, lines } = await start(t, config);
  await until('it was told', () => lines.some(({ code }) => code === 'node_secret_missing'));
  assert.equal(
    lines.find(({ code }) => code === 'node_secret_missing')?.['error'],
    `the join token is not there: ${tokenFile} does not exist`,
  );
  await writeFile(tokenFile, await readFile(join(directory, 'token')));
  await until('connected', () => agent.store.status.connected);
});

test('a banned agent gives back what it holds and refuses its workloads', async (t) => {
  const { server, directory, agents, entries, token } = await world(t);
  const { agent, notified } = await start(t, configFor(directory, server.port));
  await agent.ready;
  const path = `/spire/agent/join_token/${token}`;
  await entries.batchCreateEntry({ entries: [registration(path, '/web')] });
  await until('signed', () => agent.store.counts.x509 === 1);
  await agents.banAgent({ id: { trustDomain: 'example.org', path } });
  await until('withdrawn', () => agent.store.status.phase === 'withdrawn');
  assert.deepEqual([agent.store.counts.x509, agent.store.entries().size], [0, 0]);
  await until('told', () => notified.some((line) => line.startsWith('identities withdrawn by the server')));
});

test('an agent that is cut off serves what it holds, and is back within seconds of the network', async (t) => {
  const { server, directory, entries, token } = await world(t);
  const wire = await tcpProxy(server.port);
  const { agent, notified } = await start(t, configFor(directory, wire.port));
  const { store } = agent;
  await until('connected', () => store.status.connected);
  const parent = `/spire/agent/join_token/${token}`;
  await entries.batchCreateEntry({ entries: [registration(parent, '/web')] });
  await until('signed', () => store.counts.x509 === 1);
  const [id = ''] = store.entries().keys();
  wire.cut();
  await until('cut off', () => !store.status.connected);
  await entries.batchCreateEntry({ entries: [registration(parent, '/db')] });
  assert.ok(store.x509(id) !== undefined);
  await until('told', () => notified.some((line) => line.startsWith('cut off since 20')));
  await until('tried again', () => server.context.sessions.count === 0);
  wire.mend();
  await until('connected again', () => store.status.connected, 10_000);
  await until('what was missed is signed', () => store.counts.x509 === 2);
  wire.cut();
  await wire.close();
});
