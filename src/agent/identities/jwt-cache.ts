import { type Clock, unixSeconds } from '../../clock.js';
import { hasCode, messageOf, TouchmarkError } from '../../errors.js';
import type { Bundle } from '../../spiffe/bundle.js';
import type { Entry } from '../../spiffe/entry.js';
import type { JwtIdentity } from '../contract.js';
import type { SignedJwt } from '../server/api.js';
import { checkReceivedJwt } from './received-jwt.js';

export interface JwtCacheDeps {
  readonly clock: Clock;
  /** How many tokens are kept. */
  readonly most: number;
  sign(entryId: string, audience: readonly string[], signal: AbortSignal): Promise<SignedJwt>;
  bundle(): Bundle | undefined;
  readonly signal: AbortSignal;
}

export interface JwtCache {
  get(entry: Entry, audience: readonly string[], signal: AbortSignal): Promise<JwtIdentity>;
  /** Forgets what was signed by a key that is tainted or gone. */
  bundleChanged(bundle: Bundle): void;
  removeEntry(entryId: string): void;
  clear(): void;
  readonly size: number;
}

interface Held {
  readonly identity: JwtIdentity;
  readonly entryId: string;
  readonly revision: number;
  readonly keyId: string;
  /** Unix milliseconds after which a new one is fetched. */
  readonly refreshAt: number;
}

const LONGEST_AUDIENCE_KEY = 16 * 1024;

/** Tokens by entry and set of audiences. A token that must carry its own `jti` is never shared, and so never kept. */
export function createJwtCache(deps: JwtCacheDeps): JwtCache {
  const held = new Map<string, Held>();
  const flights = new Map<string, Promise<JwtIdentity>>();
  /** Rises when everything is dropped: a token that was under way then is not kept. */
  let generation = 0;

  function keep(key: string, entry: Entry, identity: JwtIdentity, keyId: string): void {
    const now = deps.clock.now();
    const refreshAt = now + (identity.expiresAt * 1000 - now) / 2;
    held.delete(key);
    held.set(key, { identity, entryId: entry.id, revision: entry.revisionNumber, keyId, refreshAt });
    for (const oldest of held.keys()) {
      if (held.size <= deps.most) break;
      held.delete(oldest);
    }
  }

  function usable(key: string, entry: Entry): Held | undefined {
    const found = held.get(key);
    if (found === undefined) return undefined;
    const stale = found.revision !== entry.revisionNumber || found.identity.id !== entry.spiffeId;
    if (stale || found.identity.expiresAt <= unixSeconds(deps.clock)) {
      held.delete(key);
      return undefined;
    }
    held.delete(key);
    held.set(key, found);
    return found;
  }

  async function fetch(key: string, entry: Entry, audience: readonly string[]): Promise<JwtIdentity> {
    const begun = generation;
    const token = await deps.sign(entry.id, audience, deps.signal);
    const bundle = deps.bundle();
    if (bundle === undefined || begun !== generation) throw unavailable(entry, 'identities were withdrawn');
    if (token.expiresAt <= unixSeconds(deps.clock)) throw unavailable(entry, 'the token has already expired');
    const now = unixSeconds(deps.clock);
    const keyId = checkReceivedJwt(token.token, { id: entry.spiffeId, audience, bundle, now });
    const identity = identityOf(entry, token);
    if (!entry.jwtSvidIncludeJti && goodKey(bundle, keyId)) keep(key, entry, identity, keyId);
    return identity;
  }

  function flight(key: string, entry: Entry, audience: readonly string[]): Promise<JwtIdentity> {
    const flightKey = `${entry.revisionNumber}\n${key}`;
    const running = flights.get(flightKey);
    if (running !== undefined) return running;
    const started = fetch(key, entry, audience).finally(() => flights.delete(flightKey));
    flights.set(flightKey, started);
    return started;
  }

  return {
    async get(entry, audience, signal) {
      const sorted = [...new Set(audience)].sort();
      const key = JSON.stringify([entry.id, ...sorted]);
      if (key.length > LONGEST_AUDIENCE_KEY) throw unavailable(entry, 'its audiences are too long');
      if (entry.jwtSvidIncludeJti)
        return untilAborted(fetch(key, entry, sorted), signal).catch(asUnavailable(entry));
      const found = usable(key, entry);
      if (found !== undefined && deps.clock.now() < found.refreshAt) return found.identity;
      try {
        return await untilAborted(flight(key, entry, sorted), signal);
      } catch (error) {
        // Better an older token that still holds than none while the server is away.
        const rest = hasCode(error, 'server_away') ? usable(key, entry) : undefined;
        if (rest !== undefined) return rest.identity;
        return asUnavailable(entry)(error);
      }
    },
    bundleChanged(bundle) {
      for (const [key, one] of held) if (!goodKey(bundle, one.keyId)) held.delete(key);
    },
    removeEntry(entryId) {
      for (const [key, one] of held) if (one.entryId === entryId) held.delete(key);
    },
    clear() {
      generation += 1;
      held.clear();
      flights.clear();
    },
    get size() {
      return held.size;
    },
  };
}

function goodKey(bundle: Bundle | undefined, keyId: string): boolean {
  return bundle?.jwtAuthorities.some((authority) => authority.keyId === keyId && !authority.tainted) ?? false;
}

function identityOf(entry: Entry, token: SignedJwt): JwtIdentity {
  return { id: entry.spiffeId, hint: entry.hint, token: token.token, expiresAt: token.expiresAt };
}

/** The flight goes on for the others who wait for it. */
function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(new TouchmarkError('svid_unavailable', 'the caller went away'));
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

function asUnavailable(entry: Entry): (error: unknown) => never {
  return (error) => {
    if (hasCode(error, 'svid_unavailable')) throw error;
    throw unavailable(entry, messageOf(error), error);
  };
}

function unavailable(entry: Entry, why: string, cause?: unknown): TouchmarkError {
  return new TouchmarkError('svid_unavailable', `no token for ${entry.spiffeId}: ${why}`, { cause });
}
