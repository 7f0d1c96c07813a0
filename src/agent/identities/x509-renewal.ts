import type { KeyObject } from 'node:crypto';
import type { Clock } from '../../clock.js';
import { hasCode, TouchmarkError } from '../../errors.js';
import type { Logger } from '../../log.js';
import { type Entry, mayPrefetch } from '../../spiffe/entry.js';
import { exportPkcs8 } from '../../x509/keys.js';
import { backoffMs, renewalTime } from '../backoff.js';
import type { SignRequest, SignResult } from '../server/api.js';
import { DueQueue } from './due-queue.js';
import { type Failures, kindOf } from './failures.js';
import type { ReceivedSvid } from './received-svid.js';
import { type Signed, SigningQueue } from './signing-queue.js';
import { endOf, inUse, type Slot, type Slots } from './x509-slots.js';

export interface RenewalDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly slots: Slots;
  /** SVIDs held ahead of any use; those in use are held beyond it. */
  readonly softLimit: number;
  sign(requests: readonly SignRequest[]): Promise<readonly SignResult[]>;
  makeKey(): Promise<KeyObject>;
  /** Verifies what the server sent: chain, key, ID, time. @throws TouchmarkError */
  check(chain: readonly Uint8Array[], entry: Entry, key: KeyObject): ReceivedSvid;
  /** The entry as it is now; undefined when the node holds it no longer. */
  entry(id: string): Entry | undefined;
  /** After an SVID appeared, changed or went. */
  changed(): void;
  readonly failures: Failures;
  readonly signal: AbortSignal;
  readonly random: () => number;
}

const RETRY = { firstMs: 1_000, mostMs: 60_000 };

/** What becomes of a slot as time goes by: its SVID is fetched, renewed at half its life, and dropped at its end. */
export class X509Renewal {
  readonly #deps: RenewalDeps;
  readonly #due: DueQueue;
  readonly #queue: SigningQueue;

  constructor(deps: RenewalDeps) {
    this.#deps = deps;
    this.#due = new DueQueue(deps.clock, (ids) => {
      for (const id of ids) this.#attend(id);
    });
    this.#queue = new SigningQueue({ ...deps, done: (outcome) => this.#settle(outcome) });
  }

  request(slot: Slot, entry: Entry, urgent = slot.waiters.any): void {
    this.#queue.add(entry, urgent);
  }

  /** Sets the time at which this slot has to be looked at next. */
  plan(slot: Slot): void {
    const next = Math.max(slot.rotateAt, slot.retryAt);
    if (slot.held !== undefined) {
      this.#due.at(slot.entryId, slot.wanted ? Math.min(endOf(slot), next) : endOf(slot));
    } else if (slot.wanted) {
      this.#due.at(slot.entryId, slot.retryAt);
    } else {
      this.#due.cancel(slot.entryId);
      if (!slot.waiters.any) this.#deps.slots.delete(slot.entryId);
    }
  }

  drop(slot: Slot): void {
    slot.held = undefined;
    this.#deps.changed();
  }

  /** Nothing more is done for this entry. */
  cancel(entryId: string): void {
    this.#queue.remove(entryId);
    this.#due.cancel(entryId);
  }

  /** What is queued or under way is for nobody any more. */
  clear(): void {
    this.#queue.clear();
    this.#due.clear();
  }

  /** Looks at one entry whose time has come: its end, its renewal or another attempt. */
  #attend(id: string): void {
    const { slots, clock, entry: entryOf } = this.#deps;
    const slot = slots.get(id);
    const entry = entryOf(id);
    if (slot === undefined || entry === undefined) return;
    if (slot.held !== undefined && endOf(slot) <= clock.now()) this.drop(slot);
    const rotate = slot.wanted && (slot.held === undefined || slot.rotateAt <= clock.now());
    if (rotate && slot.retryAt <= clock.now()) this.#renewOrForget(slot, entry);
    else this.plan(slot);
  }

  #renewOrForget(slot: Slot, entry: Entry): void {
    const { slots, softLimit, clock } = this.#deps;
    const surplus = !mayPrefetch(entry) || slots.wantedCount > softLimit;
    if (surplus && !inUse(slot, clock.now()) && !slot.waiters.any) {
      slots.unwant(slot.entryId);
      this.plan(slot);
      return;
    }
    this.request(slot, entry);
    // The answer may be long in coming: what is held still ends in time.
    if (slot.held !== undefined) this.#due.at(slot.entryId, endOf(slot));
  }

  #settle(outcome: Signed): void {
    const entry = this.#deps.entry(outcome.entry.id);
    const slot = this.#deps.slots.get(outcome.entry.id);
    if (entry === undefined || slot === undefined || this.#deps.signal.aborted) return;
    const current = outcome.entry.revisionNumber === entry.revisionNumber;
    try {
      if ('error' in outcome) throw outcome.error;
      this.#hold(slot, entry, outcome.key, this.#deps.check(outcome.chain, entry, outcome.key));
    } catch (error) {
      // An answer for an older version of the entry proves nothing about the newer one.
      if (current) this.#fail(slot, entry, error);
      else this.request(slot, entry);
      return;
    }
    if (current) slot.waiters.resolve();
    else this.request(slot, entry);
    this.plan(slot);
    this.#deps.changed();
  }

  #hold(slot: Slot, entry: Entry, key: KeyObject, svid: ReceivedSvid): void {
    const { clock, random, failures } = this.#deps;
    const { chain, notBefore, expiresAt, authority } = svid;
    const identity = { entry, chain, key: exportPkcs8(key), notBefore, expiresAt };
    slot.usedBefore = slot.held !== undefined && slot.usedAt >= slot.held.issuedAt;
    slot.held = { identity, authority, issuedAt: clock.now() };
    slot.rotateAt = renewalTime(clock.now(), expiresAt, random);
    slot.retryAt = 0;
    slot.failures = 0;
    slot.readers.clear();
    failures.forget(entry.id);
  }

  #fail(slot: Slot, entry: Entry, error: unknown): void {
    const { clock, random, log, failures } = this.#deps;
    failures.note(entry.id, error);
    slot.retryAt = clock.now() + backoffMs(RETRY, slot.failures, random);
    slot.failures += 1;
    const message = `no X.509-SVID for ${entry.spiffeId}: ${kindOf(error)}`;
    const level = hasCode(error, 'server_away') ? 'debug' : 'warn';
    log[level]('an X.509-SVID could not be had', { entry: entry.id, error });
    slot.waiters.reject(new TouchmarkError('svid_unavailable', message, { cause: error }));
    this.plan(slot);
  }
}
