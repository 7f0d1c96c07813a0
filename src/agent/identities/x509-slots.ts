import { TouchmarkError } from '../../errors.js';
import type { X509Identity } from '../contract.js';

interface Held {
  readonly identity: X509Identity;
  /** Key of the authority that it chains to. */
  readonly authority: string;
  /** Unix milliseconds, by our own clock. */
  readonly issuedAt: number;
}

/** What is known about one entry's SVID. Times are Unix milliseconds. */
export interface Slot {
  readonly entryId: string;
  held: Held | undefined;
  /** Fetched ahead or in use: renewed when its time comes. Otherwise it is kept to its end and forgotten. */
  wanted: boolean;
  rotateAt: number;
  retryAt: number;
  failures: number;
  /** When a workload last took it; 0 never. */
  usedAt: number;
  /** The SVID before this one was in use when it was replaced. */
  usedBefore: boolean;
  readonly waiters: Set<Waiter>;
}

interface Waiter {
  resolve(): void;
  reject(error: Error): void;
}

/** After a renewal its readers get this long to come back for the new SVID before it counts as unused. */
const READERS_RETURN_MS = 60_000;

export function inUse(slot: Slot, now: number): boolean {
  if (slot.held === undefined) return slot.usedAt > 0;
  if (slot.usedAt >= slot.held.issuedAt) return true;
  return slot.usedBefore && now - slot.held.issuedAt < READERS_RETURN_MS;
}

export interface Slots {
  get(id: string): Slot | undefined;
  open(id: string): Slot;
  all(): Iterable<Slot>;
  want(slot: Slot): void;
  unwant(slot: Slot): void;
  hold(slot: Slot, held: Held): void;
  delete(id: string): void;
  wait(slot: Slot, signal: AbortSignal): Promise<void>;
  resolve(slot: Slot): void;
  reject(slot: Slot, error: Error): void;
  /** Held ones beyond the limit that nobody uses, longest unused first. */
  surplus(limit: number, now: number): Slot[];
  readonly wantedCount: number;
  readonly heldCount: number;
}

/** The book-keeping under the X.509 cache: slots, who waits for them, which of them may go. */
export function createSlots(): Slots {
  const slots = new Map<string, Slot>();
  let wantedCount = 0;

  return {
    get: (id) => slots.get(id),
    open(id) {
      const found = slots.get(id);
      if (found !== undefined) return found;
      const made = emptySlot(id);
      slots.set(id, made);
      return made;
    },
    all: () => slots.values(),
    want(slot) {
      if (!slot.wanted) wantedCount += 1;
      slot.wanted = true;
    },
    unwant(slot) {
      if (slot.wanted) wantedCount -= 1;
      slot.wanted = false;
    },
    hold(slot, held) {
      slot.usedBefore = slot.held !== undefined && slot.usedAt >= slot.held.issuedAt;
      slot.held = held;
    },
    delete(id) {
      if (slots.get(id)?.wanted === true) wantedCount -= 1;
      slots.delete(id);
    },
    wait,
    resolve(slot) {
      for (const waiter of slot.waiters) waiter.resolve();
      slot.waiters.clear();
    },
    reject(slot, error) {
      for (const waiter of slot.waiters) waiter.reject(error);
      slot.waiters.clear();
    },
    surplus(limit, now) {
      const over = wantedCount - limit;
      if (over <= 0) return [];
      const free = [...slots.values()].filter((slot) => slot.held !== undefined && !inUse(slot, now));
      return free.sort((a, b) => a.usedAt - b.usedAt).slice(0, over);
    },
    get wantedCount() {
      return wantedCount;
    },
    get heldCount() {
      let held = 0;
      for (const slot of slots.values()) if (slot.held !== undefined) held += 1;
      return held;
    },
  };
}

function emptySlot(entryId: string): Slot {
  return {
    entryId,
    held: undefined,
    wanted: false,
    rotateAt: 0,
    retryAt: 0,
    failures: 0,
    usedAt: 0,
    usedBefore: false,
    waiters: new Set(),
  };
}

function wait(slot: Slot, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const gone = () => waiter.reject(new TouchmarkError('svid_unavailable', 'the caller went away'));
    const finish = (settle: () => void) => {
      slot.waiters.delete(waiter);
      signal.removeEventListener('abort', gone);
      settle();
    };
    const waiter: Waiter = {
      resolve: () => finish(resolve),
      reject: (error) => finish(() => reject(error)),
    };
    slot.waiters.add(waiter);
    signal.addEventListener('abort', gone, { once: true });
    if (signal.aborted) gone();
  });
}
