import { type Clock, unixSeconds } from '../../clock.js';
import { hasCode, TouchmarkError } from '../../errors.js';
import type { Bundle } from '../../spiffe/bundle.js';
import type { Entry } from '../../spiffe/entry.js';
import type { JwtIdentity } from '../contract.js';
import { kindOf } from './failures.js';
import { checkReceivedJwt } from './received-jwt.js';
import { TokenShelf } from './token-shelf.js';

export interface JwtCacheDeps {
  readonly clock: Clock;
  /** How many tokens are kept. */
  readonly most: number;
  /** The token as the server sent it. */
  sign(entryId: string, audience: readonly string[]): Promise<string>;
  bundle(): Bundle | undefined;
}

const LONGEST_AUDIENCE_KEY = 16 * 1024;

/** Tokens by entry and set of audiences. A token that must carry its own `jti` is never shared, and so never kept. */
export class JwtCache {
  readonly #deps: JwtCacheDeps;
  readonly #shelf: TokenShelf;
  readonly #flights = new Map<string, Promise<JwtIdentity>>();
  /** Rises when everything is dropped: a token that was under way then is not given out. */
  #generation = 0;

  constructor(deps: JwtCacheDeps) {
    this.#deps = deps;
    this.#shelf = new TokenShelf(deps.clock, deps.most);
  }

  get size(): number {
    return this.#shelf.size;
  }

  /** @throws TouchmarkError `svid_unavailable` */
  async get(entry: Entry, audience: readonly string[], signal: AbortSignal): Promise<JwtIdentity> {
    const sorted = [...new Set(audience)].sort();
    const key = JSON.stringify([entry.id, ...sorted]);
    if (key.length > LONGEST_AUDIENCE_KEY) throw unavailable(entry, 'its audiences are too long');
    const found = this.#shelf.find(key, entry);
    if (found !== undefined && this.#deps.clock.now() < found.refreshAt) return found.identity;
    try {
      return await untilAborted(this.#obtain(key, entry, sorted), signal);
    } catch (error) {
      // Better an older token that still holds than none while the server is away.
      const rest = hasCode(error, 'server_away') ? this.#shelf.find(key, entry) : undefined;
      if (rest !== undefined) return rest.identity;
      if (hasCode(error, 'svid_unavailable')) throw error;
      throw unavailable(entry, kindOf(error), error);
    }
  }

  /** Forgets what was signed by a key that is tainted or gone. */
  bundleChanged(bundle: Bundle): void {
    this.#shelf.remove(({ keyId }) => !goodKey(bundle, keyId));
  }

  removeEntry(entryId: string): void {
    this.#shelf.remove((one) => one.entryId === entryId);
  }

  clear(): void {
    this.#generation += 1;
    this.#shelf.remove(() => true);
    this.#flights.clear();
  }

  /** Callers who want the same token at the same time share one call. */
  #obtain(key: string, entry: Entry, audience: readonly string[]): Promise<JwtIdentity> {
    if (entry.jwtSvidIncludeJti) return this.#fetch(key, entry, audience);
    const flightKey = `${entry.revisionNumber}\n${key}`;
    const running = this.#flights.get(flightKey);
    if (running !== undefined) return running;
    const started = this.#fetch(key, entry, audience).finally(() => {
      if (this.#flights.get(flightKey) === started) this.#flights.delete(flightKey);
    });
    this.#flights.set(flightKey, started);
    return started;
  }

  async #fetch(key: string, entry: Entry, audience: readonly string[]): Promise<JwtIdentity> {
    const begun = this.#generation;
    const token = await this.#deps.sign(entry.id, audience);
    const bundle = this.#deps.bundle();
    if (bundle === undefined || begun !== this.#generation)
      throw unavailable(entry, 'identities were withdrawn');
    const now = unixSeconds(this.#deps.clock);
    const received = checkReceivedJwt(token, { id: entry.spiffeId, audience, bundle, now });
    const { keyId, expiresAt } = received;
    const identity = { id: entry.spiffeId, hint: entry.hint, token, expiresAt };
    if (!entry.jwtSvidIncludeJti && goodKey(bundle, keyId)) this.#shelf.keep(key, entry, identity, keyId);
    return identity;
  }
}

function goodKey(bundle: Bundle, keyId: string): boolean {
  return bundle.jwtAuthorities.some((authority) => authority.keyId === keyId && !authority.tainted);
}

/** The work goes on for the others who wait for it. */
function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(new TouchmarkError('svid_unavailable', 'the caller went away'));
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

function unavailable(entry: Entry, why: string, cause?: unknown): TouchmarkError {
  return new TouchmarkError('svid_unavailable', `no token for ${entry.spiffeId}: ${why}`, { cause });
}
