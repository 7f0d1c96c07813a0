import { TouchmarkError } from '../../errors.js';
import type { Bundle } from '../../spiffe/bundle.js';
import { type Entry, mayPrefetch } from '../../spiffe/entry.js';
import type { X509Identity } from '../contract.js';
import type { EntryChange } from './entry-set.js';
import { authorityStanding } from './received-svid.js';
import { type RenewalDeps, X509Renewal } from './x509-renewal.js';
import { endOf, inUse, Slots } from './x509-slots.js';

export interface X509CacheDeps extends Omit<RenewalDeps, 'slots'> {
  entries(): Iterable<Entry>;
}

/** Re-issues after a tainted authority are spread over this time, for the server's sake. */
const TAINT_SPREAD_MS = 2_000;

/** X.509-SVIDs with their keys: fetched ahead, renewed at half life, dropped when they end. */
export class X509Cache {
  readonly #deps: X509CacheDeps;
  readonly #slots = new Slots();
  readonly #renewal: X509Renewal;

  constructor(deps: X509CacheDeps) {
    this.#deps = deps;
    this.#renewal = new X509Renewal({ ...deps, slots: this.#slots });
  }

  get size(): number {
    return this.#slots.heldCount;
  }

  get(entryId: string): X509Identity | undefined {
    const identity = this.look(entryId);
    const slot = this.#slots.get(entryId);
    if (identity !== undefined && slot !== undefined) slot.usedAt = this.#deps.clock.now();
    return identity;
  }

  /** Marks nothing as used. */
  look(entryId: string): X509Identity | undefined {
    const slot = this.#slots.get(entryId);
    return slot !== undefined && endOf(slot) > this.#deps.clock.now() ? slot.held?.identity : undefined;
  }

  /** @throws TouchmarkError `svid_unavailable` when one of them could not be had */
  async ensure(entries: readonly Entry[], signal: AbortSignal): Promise<void> {
    await Promise.all(entries.map(({ id }) => this.#ensureOne(id, signal)));
  }

  entriesChanged({ added, changed, removed }: EntryChange): void {
    for (const id of removed) this.#remove(id);
    for (const entry of changed) this.#entryChanged(entry);
    for (const entry of added) this.#fetchAhead(entry);
    if (removed.length > 0) this.#fillUp();
  }

  /** What chains to an authority that is gone goes at once; what chains to a tainted one is replaced soon. */
  bundleChanged(bundle: Bundle): void {
    const { clock, random } = this.#deps;
    for (const slot of this.#slots.all()) {
      if (slot.held === undefined) continue;
      const standing = authorityStanding(bundle, slot.held.authority);
      if (standing === 'trusted') continue;
      if (standing === 'removed') this.#renewal.drop(slot);
      const wait = standing === 'tainted' ? TAINT_SPREAD_MS * random() : 0;
      slot.rotateAt = Math.min(slot.rotateAt, clock.now() + wait);
      slot.retryAt = 0;
      this.#renewal.plan(slot);
    }
  }

  /** The server is back: whatever waits for another attempt is tried at once. */
  retryNow(): void {
    for (const slot of this.#slots.all()) {
      if (slot.failures === 0) continue;
      slot.retryAt = 0;
      slot.failures = 0;
      this.#renewal.plan(slot);
    }
  }

  clear(): void {
    this.#renewal.clear();
    for (const { entryId } of this.#slots.all()) this.#remove(entryId);
  }

  /** Rejects, and never throws: the other entries of the same call are waited for at the same time. */
  async #ensureOne(id: string, signal: AbortSignal): Promise<void> {
    const { clock, entry: entryOf } = this.#deps;
    const entry = entryOf(id);
    if (entry === undefined) throw removed(id);
    const slot = this.#slots.want(id);
    slot.usedAt = clock.now();
    if (endOf(slot) > clock.now()) {
      this.#renewal.plan(slot);
      return;
    }
    slot.readers.add(signal);
    const held = slot.waiters.wait(signal);
    this.#renewal.request(slot, entry);
    this.#dropSurplus();
    await held;
  }

  #dropSurplus(): void {
    for (const slot of this.#slots.surplus(this.#deps.softLimit, this.#deps.clock.now())) {
      this.#slots.unwant(slot.entryId);
      this.#renewal.drop(slot);
      this.#renewal.plan(slot);
    }
  }

  #fetchAhead(entry: Entry): void {
    const full = this.#slots.wantedCount >= this.#deps.softLimit;
    if (!mayPrefetch(entry) || entry.storeSvid || full) return;
    this.#renewal.request(this.#slots.want(entry.id), entry);
  }

  /** Room was made: entries that had none come in. */
  #fillUp(): void {
    for (const entry of this.#deps.entries()) {
      if (this.#slots.wantedCount >= this.#deps.softLimit) return;
      if (this.#slots.get(entry.id)?.wanted !== true) this.#fetchAhead(entry);
    }
  }

  #entryChanged(entry: Entry): void {
    const slot = this.#slots.get(entry.id);
    if (slot === undefined) {
      this.#fetchAhead(entry);
      return;
    }
    const held = slot.held?.identity;
    // Under another SPIFFE ID the old SVID is no longer this entry's identity: it goes before the new one comes.
    if (held !== undefined && held.entry.spiffeId !== entry.spiffeId) this.#renewal.drop(slot);
    slot.retryAt = 0;
    const urgent = inUse(slot, this.#deps.clock.now()) || slot.waiters.any;
    if (slot.wanted) this.#renewal.request(slot, entry, urgent);
    else if (slot.held !== undefined) this.#renewal.drop(slot);
    this.#renewal.plan(slot);
  }

  #remove(id: string): void {
    this.#renewal.cancel(id);
    const slot = this.#slots.get(id);
    this.#slots.delete(id);
    slot?.waiters.reject(removed(id));
  }
}

function removed(id: string): TouchmarkError {
  return new TouchmarkError('svid_unavailable', `entry ${JSON.stringify(id)} is not this node's`);
}
