import type { Clock } from '../../clock.js';
import { hasCode, messageOf } from '../../errors.js';
import type { Logger } from '../../log.js';
import { createBackoff, pause } from '../backoff.js';
import type { NodeStatus } from '../contract.js';
import { createLatest, type Latest } from '../latest.js';
import type { NodeSvid } from '../server/api.js';

/** Keeps the node's own SVID: gets it, renews it at half its life, gets it anew when the server no longer takes it. */
export interface NodeSvidKeeper {
  /** The SVID to connect with; undefined before the first attestation and after it ended or was refused. */
  readonly svid: Latest<NodeSvid | undefined>;
  /** The server refuses this SVID: attest again. Ignored when it is not the one held any more. */
  refused(svid: NodeSvid, reason: unknown): void;
  /** Renew at this time if nothing asks for it sooner. Unix seconds; 0 never. */
  renewBy(time: number): void;
  /** The server was reached: an attempt that waits is made at once. */
  wake(): void;
  /** Runs until the signal ends. Never rejects. */
  run(signal: AbortSignal): Promise<void>;
}

export interface KeeperDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: () => number;
  attest(signal: AbortSignal): Promise<NodeSvid>;
  /** RenewAgent on the connection that is up. */
  renew(svid: NodeSvid, signal: AbortSignal): Promise<NodeSvid>;
  status(change: Partial<NodeStatus>): void;
}

const ATTEMPTS = { firstMs: 1_000, mostMs: 30_000 };
/** A banned node keeps trying, for it may be allowed again, but nobody shall have to wait for it. */
const BANNED = { firstMs: 30_000, mostMs: 300_000 };
const SHORTEST_RENEWAL_MS = 1_000;
const STABLE_MS = 60_000;

export function createKeeper(deps: KeeperDeps): NodeSvidKeeper {
  const { clock, log } = deps;
  const svid = createLatest<NodeSvid | undefined>(undefined);
  const patient = createBackoff(BANNED, deps.random);
  const eager = createBackoff(ATTEMPTS, deps.random);
  const wakers = new Set<() => void>();
  let banned = false;
  let renewAt = 0;
  let nextAttempt = 0;
  let takenAt = 0;

  const listen = (listener: () => void) => {
    wakers.add(listener);
    return () => wakers.delete(listener);
  };
  const stir = () => {
    for (const listener of [...wakers]) listener();
  };

  function take(next: NodeSvid): void {
    const left = Math.max(0, next.expiresAt * 1000 - clock.now());
    renewAt = clock.now() + Math.max(SHORTEST_RENEWAL_MS, (left / 2) * (0.9 + 0.2 * deps.random()));
    banned = false;
    nextAttempt = 0;
    takenAt = clock.now();
    patient.reset();
    svid.set(next);
    deps.status({ id: next.id, svidExpiresAt: next.expiresAt });
    log.info('node SVID received', {
      id: next.id,
      expiresAt: next.expiresAt,
      renewAt: Math.floor(renewAt / 1000),
    });
  }

  /** An SVID that lasted ends the row of attempts; one that is refused at once does not: two agents of one chip must not race. */
  function forgiveIfStable(): void {
    if (takenAt === 0 || clock.now() - takenAt < STABLE_MS) return;
    eager.reset();
    takenAt = 0;
  }

  function postpone(what: string, error: unknown): void {
    forgiveIfStable();
    if (hasCode(error, 'node_banned')) banned = true;
    const wait = (banned ? patient : eager).next();
    nextAttempt = clock.now() + wait;
    log.warn(what, { error: messageOf(error), code: codeOf(error), retryInMs: wait });
  }

  /** How long nothing has to be done: until renewal or the end of what is held, or until the next attempt. */
  function idleMs(): number {
    const held = svid.value;
    if (held === undefined) return nextAttempt - clock.now();
    return Math.min(held.expiresAt * 1000, Math.max(renewAt, nextAttempt)) - clock.now();
  }

  async function attempt(signal: AbortSignal): Promise<void> {
    const held = svid.value;
    const alive = held !== undefined && held.expiresAt * 1000 > clock.now();
    if (held !== undefined && !alive) {
      log.warn('the node SVID has ended; attesting again', { id: held.id });
      svid.set(undefined);
    }
    try {
      take(await (alive && !held.reattestable ? deps.renew(held, signal) : deps.attest(signal)));
    } catch (error) {
      if (signal.aborted) return;
      if (alive && hasCode(error, 'node_refused', 'node_banned')) refused(held, error);
      else postpone(alive ? 'renewing the node SVID failed' : 'node attestation failed', error);
    }
  }

  function refused(which: NodeSvid, reason: unknown): void {
    if (svid.value !== which) return;
    svid.set(undefined);
    postpone(`the server refuses the node SVID ${which.id}`, reason);
    if (!banned && eager.attempts === 1) nextAttempt = 0;
    stir();
  }

  return {
    svid,
    refused,
    wake() {
      if (banned || nextAttempt === 0) return;
      nextAttempt = 0;
      stir();
    },
    renewBy(time) {
      if (time === 0 || time * 1000 >= renewAt) return;
      renewAt = time * 1000;
      stir();
    },
    async run(signal) {
      while (!signal.aborted) {
        const idle = idleMs();
        if (idle > 0) await pause(clock, idle, signal, listen);
        else await attempt(signal);
      }
    },
  };
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}
