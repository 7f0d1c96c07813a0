import { systemClock } from '../clock.js';
import type { AgentConfig } from '../config/agent-config.js';
import { protectMemory } from '../host/harden.js';
import { passedSockets } from '../host/listen-fds.js';
import { createNotifier } from '../host/notify.js';
import { openTpm } from '../host/open-tpm.js';
import type { Logger } from '../log.js';
import { startAgent } from './context.js';
import { serveWorkloads } from './workloads/serve.js';

/**
 * Runs the agent until the signal ends; the caller turns SIGTERM and SIGINT into that. Comes back when everything is closed.
 * @throws TouchmarkError what keeps an agent from starting at all: configuration, sockets, a second agent
 */
export async function runAgent(
  config: AgentConfig,
  { log, signal, agentVersion }: { log: Logger; signal: AbortSignal; agentVersion: string },
): Promise<void> {
  // Before any key is made.
  if (!protectMemory()) log.warn("the agent's memory could not be kept from other processes of its user");
  const notifier = createNotifier(process.env, (error) =>
    log.warn('the service manager cannot be told how the agent is', { error }),
  );
  const passed = socketsByName();
  const agent = await startAgent(config, {
    log,
    clock: systemClock,
    signal,
    agentVersion,
    notifier,
    openTpm,
    serveWorkloads: (deps) => serveWorkloads({ ...deps, passed }),
  });
  log.info('the Workload API is open', { socket: config.socketPath, trustDomain: config.trustDomain });
  await ended(signal);
  notifier.stopping();
  await agent[Symbol.asyncDispose]();
}

/** Sockets of the units `touchmark-agent.socket` and its admin twin, by their FileDescriptorName; a nameless one is public. */
function socketsByName(): { readonly public?: number; readonly admin?: number } {
  const found: { public?: number; admin?: number } = {};
  for (const { fd, name } of passedSockets()) found[name === 'admin' ? 'admin' : 'public'] = fd;
  return found;
}

function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
