import { hasCode, TouchmarkError } from '../../errors.js';
import type { NodeSvidKeeper } from '../node/keeper.js';
import type { NodeSvid } from '../server/api.js';
import type { ServerChannel } from '../server/channel.js';
import type { ServerConnection } from '../server/connection.js';
import { linkedTo } from '../signals.js';
import { pollServer } from './poll-server.js';
import { runSession, type SessionDeps } from './session.js';

export interface SyncDeps extends Omit<SessionDeps, 'reattestAt'> {
  readonly keeper: NodeSvidKeeper;
  readonly connection: ServerConnection;
}

/** A session that is up or coming up. */
export interface RunningSession {
  readonly svid: NodeSvid;
  /** Resolves with why it ended; never rejects. */
  readonly ended: Promise<unknown>;
  established(): boolean;
  over(): boolean;
  stop(): void;
}

/**
 * Opens a channel with this SVID and keeps up with the server on it, by its session or, if it has none, by polling.
 * @param onUp called before the rest of the agent learns that the server is there
 */
export function startSession(
  deps: SyncDeps,
  svid: NodeSvid,
  signal: AbortSignal,
  onUp: () => void,
): RunningSession {
  const own = linkedTo(signal);
  const channel = deps.connection.open(svid);
  let up = false;
  let over = false;
  const established = () => {
    up = true;
    onUp();
    cameUp(deps, channel);
  };
  const run = async (): Promise<unknown> => {
    try {
      await synchronise(deps, channel, own.signal, established);
      return new TouchmarkError('session_lost', 'the server ended the session');
    } catch (error) {
      return error;
    } finally {
      over = true;
      own[Symbol.dispose]();
      // After a renewal the calls that are under way on it are left to end.
      if (!own.signal.aborted || !up) deps.connection.drop(channel);
    }
  };
  return { svid, ended: run(), established: () => up, over: () => over, stop: () => own.abort() };
}

async function synchronise(
  deps: SyncDeps,
  channel: ServerChannel,
  signal: AbortSignal,
  established: () => void,
): Promise<void> {
  const sessionDeps: SessionDeps = { ...deps, reattestAt: (time) => deps.keeper.renewBy(time) };
  try {
    await runSession(channel.api, sessionDeps, signal, established);
  } catch (error) {
    if (!hasCode(error, 'server_unimplemented') || signal.aborted) throw error;
    deps.log.info('the server has no session stream: falling back to polling it');
    await pollServer(channel.api, deps, signal, established);
  }
}

function cameUp({ connection, store, keeper, log }: SyncDeps, channel: ServerChannel): void {
  connection.adopt(channel);
  store.setStatus({ connected: true });
  store.heard();
  log.info('connected to the server');
  // What waited for the server waits no longer.
  store.retryNow();
  keeper.wake();
}
