import { hasCode, messageOf, TouchmarkError } from '../../errors.js';
import { type Backoff, createBackoff, pause } from '../backoff.js';
import { waitFor } from '../latest.js';
import type { NodeSvidKeeper } from '../node/keeper.js';
import type { NodeSvid } from '../server/api.js';
import type { ServerChannel } from '../server/channel.js';
import type { ServerConnection } from '../server/connection.js';
import { pollServer } from './poll-server.js';
import { runSession, type SessionDeps } from './session.js';

export interface SyncDeps extends Omit<SessionDeps, 'reattestAt'> {
  readonly keeper: NodeSvidKeeper;
  readonly connection: ServerConnection;
}

const RECONNECT = { firstMs: 500, mostMs: 30_000 };

/** A session that is up or coming up. */
interface Running {
  readonly svid: NodeSvid;
  /** Resolves with why it ended; never rejects. */
  readonly ended: Promise<unknown>;
  established(): boolean;
  over(): boolean;
  stop(): void;
}

/**
 * Keeps one session with the server for as long as the signal lives: opens it with whatever SVID the keeper holds, opens
 * the next beside it when the SVID is renewed, and comes back with growing, jittered waits when it is lost. Never rejects.
 */
export async function keepInSync(deps: SyncDeps, signal: AbortSignal): Promise<void> {
  const { keeper } = deps;
  const backoff = createBackoff(RECONNECT, deps.random);
  let current: Running | undefined;
  while (!signal.aborted) {
    const before = current;
    const svid = await waitFor(keeper.svid, signal, (value) => value);
    if (svid === undefined) break;
    const next = start(deps, svid, signal, () => {
      // Not before this moment: until the new session speaks, the old one keeps us up to date.
      before?.stop();
      backoff.reset();
    });
    if (await endedOrRenewed(deps, next, signal)) {
      current = next.established() ? next : (before ?? next);
      if (current !== next) next.stop();
      continue;
    }
    current = next.established() ? undefined : before;
    await settleEnd(deps, { ended: next, reason: await next.ended, beside: current }, backoff, signal);
  }
  current?.stop();
  await current?.ended;
}

/** Waits until the session ends or a newer SVID is there; true for the latter. */
async function endedOrRenewed(deps: SyncDeps, running: Running, signal: AbortSignal): Promise<boolean> {
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  const newer = waitFor(deps.keeper.svid, either, (svid) =>
    svid !== undefined && svid !== running.svid ? true : undefined,
  );
  const renewed = await Promise.race([newer, running.ended.then(() => undefined)]);
  over.abort();
  return renewed === true && !signal.aborted;
}

function start(deps: SyncDeps, svid: NodeSvid, signal: AbortSignal, onUp: () => void): Running {
  const own = new AbortController();
  const either = AbortSignal.any([signal, own.signal]);
  const channel = deps.connection.open(svid);
  let up = false;
  let over = false;
  const established = () => {
    up = true;
    onUp();
    cameUp(deps, channel);
  };
  const ended = synchronise(deps, channel, either, established)
    .then(
      () => new TouchmarkError('session_lost', 'the server ended the session'),
      (error: unknown) => error,
    )
    .finally(() => {
      over = true;
      // After a renewal the calls that are under way on it are left to end.
      if (!own.signal.aborted || !up) deps.connection.drop(channel);
    });
  return { svid, ended, established: () => up, over: () => over, stop: () => own.abort() };
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

interface End {
  readonly ended: Running;
  readonly reason: unknown;
  /** An older session that still goes on. */
  readonly beside: Running | undefined;
}

/** Draws the consequences of an end: a new attestation, a withdrawal, or a wait before the next attempt. */
async function settleEnd(
  deps: SyncDeps,
  { ended, reason, beside }: End,
  backoff: Backoff,
  signal: AbortSignal,
): Promise<void> {
  const { store, keeper, log } = deps;
  if (signal.aborted) return;
  if (beside === undefined || beside.over()) store.setStatus({ connected: false });
  if (hasCode(reason, 'node_banned')) {
    store.withdraw('banned', [{ code: 'node_banned', message: messageOf(reason) }]);
  }
  if (hasCode(reason, 'node_banned', 'node_refused')) {
    keeper.refused(ended.svid, reason);
    return;
  }
  const wait = backoff.next();
  const what = ended.established() ? 'the session was lost' : 'the server could not be reached';
  log.warn(what, { error: messageOf(reason), retryInMs: wait });
  await pause(deps.clock, wait, signal, keeper.svid.onChange);
}
