import type { X509Identity } from '../contract.js';
import { Waiters } from './x509-waiters.js';

export interface HeldX509 {
  readonly identity: X509Identity;
  /** Key of the authority that it chains to. */
  readonly authority: string;
  /** Unix milliseconds, by our own clock. */
  readonly issuedAt: number;
}

/** What is known about one entry's SVID. Times are Unix milliseconds. */
export interface Slot {
  readonly entryId: string;
  held: HeldX509 | undefined;
  /** Fetched ahead or in use: renewed when its time comes. Otherwise it is kept to its end and forgotten. */
  readonly wanted: boolean;
  rotateAt: number;
  retryAt: number;
  failures: number;
  /** When a workload last took it; 0 never. */
  usedAt: number;
  /** The SVID before this one was in use when it was replaced. */
  usedBefore: boolean;
  readonly waiters: Waiters;
  /** Who asked while none was held, until their signals fire: a stream that shows other identities takes this one later. */
  readonly readers: Set<AbortSignal>;
}

/** Readers get this long to come back, after a renewal or a refusal, before the SVID counts as unused. */
const READERS_RETURN_MS = 60_000;

export function inUse(slot: Slot, now: number): boolean {
  if (slot.held === undefined) {
    for (const signal of slot.readers) if (signal.aborted) slot.readers.delete(signal);
    return slot.readers.size > 0 || now - slot.usedAt < READERS_RETURN_MS;
  }
  if (slot.usedAt >= slot.held.issuedAt) return true;
  return slot.usedBefore && now - slot.held.issuedAt < READERS_RETURN_MS;
}

/** Unix milliseconds of the end of what is held; 0 when nothing is. */
export function endOf({ held }: Slot): number {
  return (held?.identity.expiresAt ?? 0) * 1000;
}

/** The book-keeping under the X.509 cache: one slot for each entry, how many are wanted, which of them may go. */
export class Slots {
  readonly #slots = new Map<string, Slot & { wanted: boolean }>();
  #wanted = 0;

  get wantedCount(): number {
    return this.#wanted;
  }

  get heldCount(): number {
    let held = 0;
    for (const slot of this.#slots.values()) if (slot.held !== undefined) held += 1;
    return held;
  }

  get(id: string): Slot | undefined {
    return this.#slots.get(id);
  }

  /** The slot of an entry, made if there is none, and wanted from now on. */
  want(id: string): Slot {
    const slot = this.#slots.get(id) ?? emptySlot(id);
    this.#slots.set(id, slot);
    if (!slot.wanted) this.#wanted += 1;
    slot.wanted = true;
    return slot;
  }

  unwant(id: string): void {
    const slot = this.#slots.get(id);
    if (slot?.wanted !== true) return;
    this.#wanted -= 1;
    slot.wanted = false;
  }

  delete(id: string): void {
    this.unwant(id);
    this.#slots.delete(id);
  }

  all(): readonly Slot[] {
    return [...this.#slots.values()];
  }

  /** Wanted and held ones beyond the limit that nobody uses, longest unused first. */
  surplus(limit: number, now: number): readonly Slot[] {
    const over = this.#wanted - limit;
    if (over <= 0) return [];
    const free = this.all().filter((slot) => slot.wanted && slot.held !== undefined && !inUse(slot, now));
    return free.sort((a, b) => a.usedAt - b.usedAt).slice(0, over);
  }
}

function emptySlot(entryId: string): Slot & { wanted: boolean } {
  return {
    entryId,
    held: undefined,
    wanted: false,
    rotateAt: 0,
    retryAt: 0,
    failures: 0,
    usedAt: 0,
    usedBefore: false,
    waiters: new Waiters(),
    readers: new Set(),
  };
}
