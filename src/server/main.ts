/** The server process: build the context, serve, wait for the end, take everything down in reverse. */
import type { Clock } from '../clock.js';
import type { ServerConfig } from '../config/server-config.js';
import { Disposal } from '../disposal.js';
import { messageOf } from '../errors.js';
import { createNotifier, type Notifier } from '../host/notify.js';
import type { Logger } from '../log.js';
import type { HealthState } from '../rpc/health.js';
import type { Listener } from '../rpc/unix-listener.js';
import { type ContextParts, openContext, type ServerContext } from './context.js';
import { listenForAgents, listenForBrowsers, listenForOperators } from './listeners.js';
import { createServers } from './services.js';
import { openWeb } from './web/open.js';

export interface ServerSurroundings {
  readonly log: Logger;
  readonly clock: Clock;
  /** Ends the server. */
  readonly signal: AbortSignal;
}

/** In place of what the configuration names: for tests and throw-away servers. */
export type ServerOverrides = Pick<ContextParts, 'store' | 'keys' | 'vendorAnchorsDir'>;

export interface RunningServer extends AsyncDisposable {
  readonly context: ServerContext;
  readonly addresses: {
    readonly socketPath: string;
    readonly host: string;
    readonly port: number;
    /** Where relying parties are served, if they are. */
    readonly webPort?: number;
  };
}

/** Calls that are running may take this long to end when the server stops. */
const GRACE_MS = 2000;

/**
 * Serves when it resolves; the health service says so from then on. Dispose of it to stop.
 * @throws TouchmarkError what opening a part or a listener throws; nothing is left open
 */
export async function startServer(
  config: ServerConfig,
  { log, clock }: Omit<ServerSurroundings, 'signal'>,
  overrides: ServerOverrides = {},
): Promise<RunningServer> {
  const disposal = new Disposal();
  try {
    const parts: ContextParts = { config, log, clock, ...overrides };
    return await open(parts, disposal);
  } catch (error) {
    await disposal[Symbol.asyncDispose]();
    throw error;
  }
}

async function open(parts: ContextParts, disposal: Disposal): Promise<RunningServer> {
  const { config, log } = parts;
  const context = disposal.use(await openContext(parts));
  const health = readiness();
  const servers = createServers(context, health);
  const listeners: Listener[] = [];
  disposal.defer(async () => {
    health.set(false);
    await Promise.all(listeners.map((listener) => listener.close()));
    await Promise.all([servers.unix.close(GRACE_MS), servers.tls.close(GRACE_MS)]);
  });
  const agents = await listenForAgents(context, servers);
  listeners.push(agents);
  listeners.push(await listenForOperators(context, servers));
  const page = await listenForBrowsers(context);
  if (page !== undefined) disposal.use(page);
  const web = await openWeb(context, disposal);
  disposal.defer(() => context.audit.event('server_stopping', {}));
  health.set(true);
  const addresses = {
    ...{ socketPath: config.socketPath, host: config.bindAddress, port: agents.port },
    ...(web === undefined ? {} : { webPort: web.port }),
  };
  context.audit.event('server_started', {});
  log.info('the server is ready', { trust_domain: config.trustDomain, ...addresses });
  return { context, addresses, [Symbol.asyncDispose]: () => disposal[Symbol.asyncDispose]() };
}

/** Runs until the signal fires, and tells the service manager how it goes. */
export async function runServer(config: ServerConfig, surroundings: ServerSurroundings): Promise<void> {
  const { log, clock, signal } = surroundings;
  const notifier = createNotifier(process.env, (error) =>
    log.warn('the service manager could not be told', { error: messageOf(error) }),
  );
  if (signal.aborted) return;
  const server = await startServer(config, surroundings);
  const { host, port } = server.addresses;
  notifier.status(`serving ${config.trustDomain} on ${host}:${port} and ${config.socketPath}`);
  notifier.ready();
  const stopWatchdog = feedWatchdog(notifier, clock);
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  notifier.stopping();
  stopWatchdog();
  await server[Symbol.asyncDispose]();
  log.info('the server has stopped');
}

/** From a timer of the event loop: a loop that is stuck feeds nothing. */
function feedWatchdog(notifier: Notifier, clock: Clock): () => void {
  const { watchdogMs } = notifier;
  if (watchdogMs === undefined) return () => {};
  let cancel = () => {};
  const feed = () => {
    notifier.watchdog();
    cancel = clock.after(watchdogMs / 2, feed);
  };
  feed();
  return () => cancel();
}

/** One answer for the process as a whole, as SPIRE's health service gives it. */
function readiness(): HealthState & { set(ready: boolean): void } {
  let ready = false;
  const listeners = new Set<() => void>();
  return {
    serving: (service) => (service === '' ? ready : undefined),
    services: () => [''],
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    set(now) {
      ready = now;
      for (const listener of listeners) listener();
    },
  };
}
