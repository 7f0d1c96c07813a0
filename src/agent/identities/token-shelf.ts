import { type Clock, unixSeconds } from '../../clock.js';
import type { Entry } from '../../spiffe/entry.js';
import type { JwtIdentity } from '../contract.js';

export interface HeldToken {
  readonly identity: JwtIdentity;
  readonly entryId: string;
  readonly revision: number;
  /** Of the authority's key that signed it. */
  readonly keyId: string;
  /** Unix milliseconds after which a new one is fetched. */
  readonly refreshAt: number;
}

/** Tokens that can be given out again, the least used of which go when there are too many. */
export class TokenShelf {
  readonly #clock: Clock;
  readonly #most: number;
  /** In the order of their last use. */
  readonly #held = new Map<string, HeldToken>();

  constructor(clock: Clock, most: number) {
    this.#clock = clock;
    this.#most = most;
  }

  get size(): number {
    return this.#held.size;
  }

  /** The token kept under a key, unless it has ended or was made for the entry as it was before. */
  find(key: string, entry: Entry): HeldToken | undefined {
    const found = this.#held.get(key);
    if (found === undefined) return undefined;
    this.#held.delete(key);
    const stale = found.revision !== entry.revisionNumber || found.identity.id !== entry.spiffeId;
    if (stale || found.identity.expiresAt <= unixSeconds(this.#clock)) return undefined;
    this.#held.set(key, found);
    return found;
  }

  keep(key: string, entry: Entry, identity: JwtIdentity, keyId: string): void {
    const now = this.#clock.now();
    const refreshAt = now + (identity.expiresAt * 1000 - now) / 2;
    this.#held.delete(key);
    this.#held.set(key, { identity, entryId: entry.id, revision: entry.revisionNumber, keyId, refreshAt });
    for (const oldest of this.#held.keys()) {
      if (this.#held.size <= this.#most) break;
      this.#held.delete(oldest);
    }
  }

  remove(which: (token: HeldToken) => boolean): void {
    for (const [key, one] of this.#held) if (which(one)) this.#held.delete(key);
  }
}
