import type { KeyObject } from 'node:crypto';
import type { Clock } from '../../clock.js';
import { hasCode, messageOf, TouchmarkError } from '../../errors.js';
import type { Logger } from '../../log.js';
import type { Bundle } from '../../spiffe/bundle.js';
import type { Entry } from '../../spiffe/entry.js';
import { exportPkcs8 } from '../../x509/keys.js';
import type { X509Identity } from '../contract.js';
import type { SignRequest, SignResult } from '../server/api.js';
import { createDueQueue } from './due-queue.js';
import { authorityStanding, type ReceivedSvid } from './received-svid.js';
import { createSigningQueue, type Signed } from './signing-queue.js';
import { createSlots, inUse, type Slot } from './x509-slots.js';

export interface X509CacheDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** SVIDs held ahead of any use; those in use are held beyond it. */
  readonly softLimit: number;
  sign(requests: readonly SignRequest[], signal: AbortSignal): Promise<readonly SignResult[]>;
  makeKey(): Promise<KeyObject>;
  /** Verifies what the server sent: chain, key, ID, time. @throws TouchmarkError */
  check(chain: readonly Uint8Array[], entry: Entry, key: KeyObject): ReceivedSvid;
  /** The entry as it is now; undefined when the node holds it no longer. */
  entry(id: string): Entry | undefined;
  entries(): Iterable<Entry>;
  /** After an SVID appeared, changed or went. */
  changed(): void;
  readonly signal: AbortSignal;
  readonly random: () => number;
}

export interface EntryChange {
  readonly added: readonly Entry[];
  readonly changed: readonly Entry[];
  readonly removed: readonly string[];
}

/** X.509-SVIDs with their keys: fetched ahead, renewed at half life, dropped when they end. */
export interface X509Cache {
  get(entryId: string): X509Identity | undefined;
  /** @throws TouchmarkError `svid_unavailable` when one of them could not be had */
  ensure(entries: readonly Entry[], signal: AbortSignal): Promise<void>;
  entriesChanged(change: EntryChange): void;
  bundleChanged(bundle: Bundle): void;
  /** The server is back: whatever waits for another attempt is tried at once. */
  retryNow(): void;
  clear(): void;
  readonly size: number;
}

const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 60_000;
/** Re-issues after a tainted authority are spread over this time, for the server's sake. */
const TAINT_SPREAD_MS = 2_000;
const SHORTEST_ROTATION_MS = 1_000;

export function createX509Cache(deps: X509CacheDeps): X509Cache {
  const { clock } = deps;
  const slots = createSlots();
  const due = createDueQueue(clock, (ids) => ids.forEach(attend));
  const queue = createSigningQueue({ ...deps, done: settle });

  /** Looks at one entry whose time has come: its end, its renewal or another attempt. */
  function attend(id: string): void {
    const slot = slots.get(id);
    const entry = deps.entry(id);
    if (slot === undefined || entry === undefined) return;
    if (slot.held !== undefined && slot.held.identity.expiresAt * 1000 <= clock.now()) drop(slot);
    const rotate = slot.wanted && (slot.held === undefined || slot.rotateAt <= clock.now());
    if (rotate && slot.retryAt <= clock.now()) renewOrForget(slot, entry);
    else plan(slot);
  }

  function renewOrForget(slot: Slot, entry: Entry): void {
    const surplus = entry.disableX509SvidPrefetch || slots.wantedCount > deps.softLimit;
    if (surplus && !inUse(slot, clock.now()) && slot.waiters.size === 0) {
      slots.unwant(slot);
      plan(slot);
      return;
    }
    queue.add(entry, slot.waiters.size > 0);
    // The answer may be long in coming: what is held still ends in time.
    if (slot.held !== undefined) due.at(slot.entryId, slot.held.identity.expiresAt * 1000);
  }

  function plan(slot: Slot): void {
    const next = Math.max(slot.rotateAt, slot.retryAt);
    if (slot.held !== undefined) {
      const end = slot.held.identity.expiresAt * 1000;
      due.at(slot.entryId, slot.wanted ? Math.min(end, next) : end);
    } else if (slot.wanted) {
      due.at(slot.entryId, slot.retryAt);
    } else {
      due.cancel(slot.entryId);
      if (slot.waiters.size === 0) slots.delete(slot.entryId);
    }
  }

  function drop(slot: Slot): void {
    slot.held = undefined;
    deps.changed();
  }

  function settle(outcome: Signed): void {
    const entry = deps.entry(outcome.entry.id);
    const slot = slots.get(outcome.entry.id);
    if (entry === undefined || slot === undefined || deps.signal.aborted) return;
    try {
      if ('error' in outcome) throw outcome.error;
      hold(slot, entry, outcome.entry, outcome.key, deps.check(outcome.chain, entry, outcome.key));
    } catch (error) {
      // An answer for an older version of the entry proves nothing about the newer one.
      if (outcome.entry.revisionNumber !== entry.revisionNumber) queue.add(entry, slot.waiters.size > 0);
      else fail(slot, entry, error);
    }
  }

  function hold(slot: Slot, now: Entry, signedFor: Entry, key: KeyObject, svid: ReceivedSvid): void {
    const { chain, notBefore, expiresAt } = svid;
    const identity = { entry: now, chain, key: exportPkcs8(key), notBefore, expiresAt };
    slots.hold(slot, { identity, authority: svid.authority, issuedAt: clock.now() });
    const left = expiresAt * 1000 - clock.now();
    slot.rotateAt = clock.now() + Math.max(SHORTEST_ROTATION_MS, (left / 2) * (0.9 + 0.2 * deps.random()));
    slot.retryAt = 0;
    slot.failures = 0;
    if (signedFor.revisionNumber === now.revisionNumber) slots.resolve(slot);
    else queue.add(now, slot.waiters.size > 0);
    plan(slot);
    deps.changed();
  }

  function fail(slot: Slot, entry: Entry, error: unknown): void {
    const ceiling = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(slot.failures, 10));
    slot.failures += 1;
    slot.retryAt = clock.now() + (ceiling / 2) * (1 + deps.random());
    const message = `no X.509-SVID for ${entry.spiffeId}: ${messageOf(error)}`;
    const quiet = hasCode(error, 'server_away');
    deps.log[quiet ? 'debug' : 'warn']('an X.509-SVID could not be had', { entry: entry.id, error });
    slots.reject(slot, new TouchmarkError('svid_unavailable', message, { cause: error }));
    plan(slot);
  }

  function fetchAhead(entry: Entry): void {
    if (entry.disableX509SvidPrefetch || entry.storeSvid || slots.wantedCount >= deps.softLimit) return;
    const slot = slots.open(entry.id);
    slots.want(slot);
    queue.add(entry, false);
  }

  /** Room was made: entries that had none come in. */
  function fillUp(): void {
    for (const entry of deps.entries()) {
      if (slots.wantedCount >= deps.softLimit) return;
      if (slots.get(entry.id)?.wanted !== true) fetchAhead(entry);
    }
  }

  function entryChanged(entry: Entry): void {
    const slot = slots.get(entry.id);
    if (slot === undefined) {
      fetchAhead(entry);
      return;
    }
    const held = slot.held?.identity;
    // Under another SPIFFE ID the old SVID is no longer this entry's identity: it goes before the new one comes.
    if (held !== undefined && held.entry.spiffeId !== entry.spiffeId) drop(slot);
    slot.retryAt = 0;
    if (slot.wanted) queue.add(entry, inUse(slot, clock.now()) || slot.waiters.size > 0);
    else if (slot.held !== undefined) drop(slot);
    plan(slot);
  }

  function removeEntry(id: string): void {
    queue.remove(id);
    due.cancel(id);
    const slot = slots.get(id);
    if (slot === undefined) return;
    slots.reject(slot, removed(id));
    slots.delete(id);
  }

  function ensureOne(id: string, signal: AbortSignal): Promise<void> | undefined {
    const entry = deps.entry(id);
    if (entry === undefined) throw removed(id);
    const slot = slots.open(entry.id);
    slot.usedAt = clock.now();
    slots.want(slot);
    const expiresAt = slot.held?.identity.expiresAt ?? 0;
    if (expiresAt * 1000 > clock.now()) {
      plan(slot);
      return undefined;
    }
    const held = slots.wait(slot, signal);
    queue.add(entry, true);
    for (const surplus of slots.surplus(deps.softLimit, clock.now())) {
      slots.unwant(surplus);
      drop(surplus);
      plan(surplus);
    }
    return held;
  }

  return {
    get(entryId) {
      const slot = slots.get(entryId);
      const identity = slot?.held?.identity;
      if (slot === undefined || identity === undefined) return undefined;
      if (identity.expiresAt * 1000 <= clock.now()) return undefined;
      slot.usedAt = clock.now();
      return identity;
    },
    async ensure(entries, signal) {
      await Promise.all(entries.map(({ id }) => ensureOne(id, signal)));
    },
    entriesChanged(change) {
      change.removed.forEach(removeEntry);
      change.changed.forEach(entryChanged);
      change.added.forEach(fetchAhead);
      if (change.removed.length > 0) fillUp();
    },
    bundleChanged(bundle) {
      for (const slot of slots.all()) {
        if (slot.held === undefined) continue;
        const standing = authorityStanding(bundle, slot.held.authority);
        if (standing === 'trusted') continue;
        if (standing === 'removed') drop(slot);
        const wait = standing === 'tainted' ? TAINT_SPREAD_MS * deps.random() : 0;
        slot.rotateAt = Math.min(slot.rotateAt, clock.now() + wait);
        slot.retryAt = 0;
        plan(slot);
      }
    },
    retryNow() {
      for (const slot of slots.all()) {
        if (slot.failures === 0) continue;
        slot.retryAt = 0;
        slot.failures = 0;
        plan(slot);
      }
    },
    clear() {
      queue.clear();
      for (const slot of [...slots.all()]) removeEntry(slot.entryId);
    },
    get size() {
      return slots.heldCount;
    },
  };
}

function removed(id: string): TouchmarkError {
  return new TouchmarkError('svid_unavailable', `entry ${JSON.stringify(id)} is not this node's`);
}
