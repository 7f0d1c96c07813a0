import { mkdir } from 'node:fs/promises';
import type { Clock } from '../clock.js';
import type { AgentConfig } from '../config/agent-config.js';
import { Disposal } from '../disposal.js';
import { readFileBounded, writeFileAtomic } from '../host/atomic-file.js';
import { lockDirectory } from '../host/lock.js';
import type { MeasurementPaths } from '../host/measurements/contract.js';
import { openMeasurements } from '../host/measurements/measurements.js';
import type { Notifier } from '../host/notify.js';
import type { OpenTpmOptions, TpmDevice } from '../host/tpm.js';
import type { Logger } from '../log.js';
import { createIdentityStore, type FedIdentityStore } from './identities/identity-store.js';
import { waitFor } from './latest.js';
import { type LoopDeps, runLoops } from './loops.js';
import type { Measurer } from './measure/measurer.js';
import { SessionMeasurement } from './measure/ticks.js';
import { attestNode } from './node/attest-node.js';
import { createKeeper, type NodeSvidKeeper } from './node/keeper.js';
import { renewAgent } from './node/renew-agent.js';
import type { NodeAttestor } from './node-attestors/contract.js';
import { createNodeAttestor } from './node-attestors/table.js';
import { secretReader } from './secrets.js';
import { loadTrust } from './server/bootstrap.js';
import type { Dial } from './server/channel.js';
import { createServerConnection, type ServerConnection } from './server/connection.js';
import { createDial } from './server/grpc-channel.js';
import type { Trust } from './server/trust.js';
import { approveWith, feedWatchdog, followStatus } from './status.js';
import type { WorkloadServing } from './workloads/serve.js';

/** Opens the Workload API and the operators' socket; resolves when clients can connect. */
export type ServeWorkloads = (deps: WorkloadServing) => Promise<AsyncDisposable>;

export interface AgentDeps {
  readonly log: Logger;
  readonly clock: Clock;
  /** Ends the agent's loops. */
  readonly signal: AbortSignal;
  readonly agentVersion: string;
  readonly notifier: Notifier;
  readonly serveWorkloads: ServeWorkloads;
  openTpm(options: OpenTpmOptions): Promise<TpmDevice>;
  readonly environment?: NodeJS.ProcessEnv;
  readonly random?: () => number;
}

/** A running agent. Disposing ends it: loops first, then what they used, in the reverse order of its making. */
export interface Agent extends AsyncDisposable {
  readonly store: FedIdentityStore;
  /** Resolves when clients can connect and the node SVID is held; never, if neither ever comes. */
  readonly ready: Promise<void>;
}

const MAX_BUNDLE_BYTES = 4 * 1024 * 1024;

/**
 * Builds the agent and sets it going. Comes back as soon as workloads can connect; from then on it attests, renews and
 * stays in touch by itself, for as long as `signal` lets it, whether the server is there or not.
 * @throws TouchmarkError `bootstrap_missing`, `directory_locked`, and why the socket could not be opened
 */
export async function startAgent(config: AgentConfig, deps: AgentDeps): Promise<Agent> {
  const disposal = new Disposal();
  try {
    const { store, ready } = await build(config, deps, disposal);
    return { store, ready, [Symbol.asyncDispose]: () => disposal[Symbol.asyncDispose]() };
  } catch (error) {
    await disposal[Symbol.asyncDispose]();
    throw error;
  }
}

async function build(
  config: AgentConfig,
  deps: AgentDeps,
  disposal: Disposal,
): Promise<Pick<Agent, 'store' | 'ready'>> {
  const { log, clock, notifier } = deps;
  await mkdir(config.dataDir, { recursive: true, mode: 0o700 });
  disposal.use(await lockDirectory(config.dataDir));
  const trust = await loadTrust({ ...config, log, ...bundleFiles });
  disposal.defer(() => trust.flushed());
  const connection = createServerConnection(dialer(config, deps, trust), clock);
  disposal.defer(() => connection[Symbol.dispose]());
  const store = createStore(config, deps, connection);
  disposal.defer(() => store[Symbol.dispose]());
  disposal.defer(followStatus(store, (line) => notifier.status(line)));
  disposal.use(await deps.serveWorkloads({ config, store, log, clock }));
  const measurer = disposal.use(openMeasurements(measurementPaths(config)));
  const readSecret = secretReader(deps.environment);
  const attestor = disposal.use(createNodeAttestor({ ...deps, config, readSecret, measurer }));
  const keeper = makeKeeper(config, deps, { trust, connection, store, attestor });
  const { signal, random = Math.random } = deps;
  const loops = disposal.use(
    runLoops({
      ...{ clock, log, signal, random, keeper, connection, store, trust },
      ...measuring(deps, attestor, measurer),
    }),
  );
  disposal.defer(feedWatchdog(clock, notifier.watchdogMs, loops.alive, () => notifier.watchdog()));
  const ready = waitFor(keeper.svid, deps.signal, (svid) => svid).then((svid) => {
    if (svid !== undefined) notifier.ready();
  });
  return { store, ready };
}

interface Parts {
  readonly trust: Trust;
  readonly connection: ServerConnection;
  readonly store: FedIdentityStore;
  readonly attestor: NodeAttestor;
}

function makeKeeper(
  config: AgentConfig,
  deps: AgentDeps,
  { trust, connection, store, attestor }: Parts,
): NodeSvidKeeper {
  const { clock, log, random = Math.random } = deps;
  const check = { clock, trust, trustDomain: config.trustDomain };
  const dial = dialer(config, deps, trust);
  const approvalCode = teller(store, log);
  return createKeeper({
    clock,
    log,
    random,
    attest: (signal) => attestNode({ ...check, log, attestor, dial, approvalCode }, signal),
    renew: (held, signal) => renewAgent({ ...check, server: () => connection.api() }, held, signal),
    status: (change) => store.setStatus(change),
  });
}

/** A node that a chip proves is measured by the same chip. */
function measuring(
  { clock, log }: AgentDeps,
  { chip }: NodeAttestor,
  measurer: Measurer,
): Pick<LoopDeps, 'measure'> {
  if (chip === undefined) return {};
  const deps = { clock, chip, measurer, log: log.child({ room: 'measure' }) };
  return { measure: (stream) => new SessionMeasurement(deps, stream) };
}

function dialer(config: AgentConfig, { clock, agentVersion }: AgentDeps, trust: Trust): Dial {
  return createDial({ host: config.serverAddress, port: config.serverPort, clock, trust, agentVersion });
}

function measurementPaths({ measurement, attestation }: AgentConfig): MeasurementPaths {
  return attestation.type === 'tpm' ? { ...measurement, tcti: attestation.tcti } : measurement;
}

const bundleFiles = {
  readFile: (path: string) => readFileBounded(path, MAX_BUNDLE_BYTES),
  writeFile: (path: string, content: string) => writeFileAtomic(path, content),
};

function createStore(config: AgentConfig, deps: AgentDeps, connection: ServerConnection): FedIdentityStore {
  return createIdentityStore({
    clock: deps.clock,
    log: deps.log.child({ room: 'identities' }),
    keyType: config.workloadKeyType,
    jwtCache: config.limits.jwtCache,
    server: () => connection.api(),
    ...(deps.random === undefined ? {} : { random: deps.random }),
  });
}

/** Shows the code that an operator must approve, once for each. */
function teller(store: FedIdentityStore, log: Logger): (code: string) => void {
  return (approvalCode) => {
    if (store.status.approvalCode === approvalCode) return;
    if (approvalCode !== '') log.warn(`this host waits for an operator; ${approveWith(approvalCode)}`);
    store.setStatus({ approvalCode });
  };
}
