import type { Clock } from '../../clock.js';
import { hasCode, messageOf } from '../../errors.js';
import type { Logger } from '../../log.js';
import { type Backoff, createBackoff, pause, renewalTime } from '../backoff.js';
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
const STABLE_MS = 60_000;
/** A chip is slow: a server that asks for proof after proof gets one in so much time. */
const BETWEEN_RENEWALS_MS = 10_000;

export function createKeeper(deps: KeeperDeps): NodeSvidKeeper {
  return new Keeper(deps);
}

class Keeper implements NodeSvidKeeper {
  readonly svid = createLatest<NodeSvid | undefined>(undefined);
  readonly #deps: KeeperDeps;
  readonly #patient: Backoff;
  readonly #eager: Backoff;
  readonly #wakers = new Set<() => void>();
  #banned = false;
  /** Unix milliseconds, as all times here. */
  #renewAt = 0;
  #nextAttempt = 0;
  #takenAt = 0;
  /** Whether the SVID taken last has not shown yet that it lasts. */
  #onProbation = false;

  constructor(deps: KeeperDeps) {
    this.#deps = deps;
    this.#patient = createBackoff(BANNED, deps.random);
    this.#eager = createBackoff(ATTEMPTS, deps.random);
  }

  refused(which: NodeSvid, reason: unknown): void {
    if (this.svid.value !== which) return;
    this.svid.set(undefined);
    this.#postpone(`the server refuses the node SVID ${which.id}`, reason);
    // Attesting again mends most refusals, so the first try does not wait.
    if (!this.#banned && this.#eager.attempts === 1) this.#nextAttempt = 0;
    this.#stir();
  }

  renewBy(time: number): void {
    if (time === 0 || time * 1000 >= this.#renewAt) return;
    const soonest = Math.max(time * 1000, this.#takenAt + BETWEEN_RENEWALS_MS);
    this.#renewAt = Math.min(this.#renewAt, soonest);
    this.#stir();
  }

  wake(): void {
    if (this.#banned || this.#nextAttempt === 0) return;
    this.#nextAttempt = 0;
    this.#stir();
  }

  async run(signal: AbortSignal): Promise<void> {
    const listen = (listener: () => void) => {
      this.#wakers.add(listener);
      return () => this.#wakers.delete(listener);
    };
    while (!signal.aborted) {
      const idle = this.#idleMs();
      if (idle > 0) await pause(this.#deps.clock, idle, signal, listen);
      else await this.#attempt(signal);
    }
  }

  #stir(): void {
    for (const listener of [...this.#wakers]) listener();
  }

  /** How long nothing has to be done: until renewal or the end of what is held, or until the next attempt. */
  #idleMs(): number {
    const held = this.svid.value;
    const now = this.#deps.clock.now();
    if (held === undefined) return this.#nextAttempt - now;
    return Math.min(held.expiresAt * 1000, Math.max(this.#renewAt, this.#nextAttempt)) - now;
  }

  async #attempt(signal: AbortSignal): Promise<void> {
    const { attest, renew } = this.#deps;
    const held = this.#alive();
    try {
      const next = held === undefined || held.reattestable ? attest(signal) : renew(held, signal);
      this.#take(await next);
    } catch (error) {
      if (signal.aborted) return;
      if (held === undefined) this.#postpone('node attestation failed', error);
      else if (hasCode(error, 'node_refused', 'node_banned')) this.refused(held, error);
      else this.#postpone('renewing the node SVID failed', error);
    }
  }

  /** What is held, unless it has ended meanwhile. */
  #alive(): NodeSvid | undefined {
    const held = this.svid.value;
    if (held === undefined || held.expiresAt * 1000 > this.#deps.clock.now()) return held;
    this.#deps.log.warn('the node SVID has ended; attesting again', { id: held.id });
    this.svid.set(undefined);
    return undefined;
  }

  #take(next: NodeSvid): void {
    const { clock, random, status, log } = this.#deps;
    const { id, expiresAt } = next;
    this.#takenAt = clock.now();
    this.#renewAt = renewalTime(this.#takenAt, expiresAt, random);
    this.#banned = false;
    this.#nextAttempt = 0;
    this.#onProbation = true;
    this.#patient.reset();
    this.svid.set(next);
    status({ id, svidExpiresAt: expiresAt });
    log.info('node SVID received', { id, expiresAt, renewAt: Math.floor(this.#renewAt / 1000) });
  }

  #postpone(what: string, error: unknown): void {
    const { clock, log } = this.#deps;
    this.#forgiveIfStable();
    if (hasCode(error, 'node_banned')) this.#banned = true;
    const retryInMs = (this.#banned ? this.#patient : this.#eager).next();
    this.#nextAttempt = clock.now() + retryInMs;
    log.warn(what, { error: messageOf(error), code: codeOf(error), retryInMs });
  }

  /** An SVID that lasted ends the row of attempts; one that is refused at once does not: two agents of one chip must not race. */
  #forgiveIfStable(): void {
    if (!this.#onProbation || this.#deps.clock.now() - this.#takenAt < STABLE_MS) return;
    this.#eager.reset();
    this.#onProbation = false;
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}
