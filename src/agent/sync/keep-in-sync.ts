import { hasCode, messageOf } from '../../errors.js';
import { type Backoff, createBackoff, pause } from '../backoff.js';
import { waitFor } from '../latest.js';
import { linkedTo } from '../signals.js';
import { type RunningSession, type SyncDeps, startSession } from './running-session.js';

const RECONNECT = { firstMs: 500, mostMs: 30_000 };

/**
 * Keeps one session with the server for as long as the signal lives: opens it with whatever SVID the keeper holds, opens
 * the next beside it when the SVID is renewed, and comes back with growing, jittered waits when it is lost. Never rejects.
 */
export async function keepInSync(deps: SyncDeps, signal: AbortSignal): Promise<void> {
  const { keeper } = deps;
  const backoff = createBackoff(RECONNECT, deps.random);
  let current: RunningSession | undefined;
  while (!signal.aborted) {
    const before = current;
    const svid = await waitFor(keeper.svid, signal, (value) => value);
    if (svid === undefined) break;
    const next = startSession(deps, svid, signal, () => {
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
async function endedOrRenewed(
  deps: SyncDeps,
  running: RunningSession,
  signal: AbortSignal,
): Promise<boolean> {
  using over = linkedTo(signal);
  const newer = waitFor(deps.keeper.svid, over.signal, (svid) =>
    svid !== undefined && svid !== running.svid ? true : undefined,
  );
  const renewed = await Promise.race([newer, running.ended.then(() => undefined)]);
  over.abort();
  return renewed === true && !signal.aborted;
}

interface End {
  readonly ended: RunningSession;
  readonly reason: unknown;
  /** An older session that still goes on. */
  readonly beside: RunningSession | undefined;
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
