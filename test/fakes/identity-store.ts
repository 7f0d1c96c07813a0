import { createIdentityStore, type FedIdentityStore } from '../../src/agent/identities/identity-store.js';
import type { ServerApi, SignRequest, SignResult } from '../../src/agent/server/api.js';
import { type Clock, systemClock } from '../../src/clock.js';
import { TouchmarkError } from '../../src/errors.js';
import { silentLogger } from '../../src/log.js';
import type { Bundle } from '../../src/spiffe/bundle.js';
import type { Entry } from '../../src/spiffe/entry.js';
import { parseSpiffeId } from '../../src/spiffe/id.js';
import { type SigningAuthority, signingAuthority } from './signing-authority.js';

/** The agent's own identity store, fed by a test instead of a server. What it signs verifies against `bundles.own`. */
export interface FakeIdentityStore extends FedIdentityStore {
  readonly authority: SigningAuthority;
  /** What the pretended server does; change it to make signing slow, wrong or impossible. */
  readonly server: FakeSigner;
  /** Adds or replaces entries. */
  put(...entries: Entry[]): void;
  remove(...ids: string[]): void;
  /** Publishes the authority's bundle as it is now, with these federated ones. */
  publish(federated?: readonly Bundle[], crls?: readonly Uint8Array[]): void;
  /** Leaves `starting`: bundles are there and entries were synced. */
  serve(): void;
}

export interface FakeSigner {
  /** Seconds. */
  x509Ttl: number;
  jwtTtl: number;
  /** Thrown by every call while it is set. */
  fail: TouchmarkError | undefined;
  /** Awaited before every answer. */
  hold: Promise<void>;
  /** The batches that were asked for, as entry IDs. */
  readonly batches: string[][];
  readonly tokens: { readonly entryId: string; readonly audience: readonly string[] }[];
}

export interface FakeStoreOptions {
  readonly clock?: Clock;
  readonly jwtCache?: number;
  readonly x509SoftLimit?: number;
  readonly random?: () => number;
}

export function fakeIdentityStore(options: FakeStoreOptions = {}): FakeIdentityStore {
  const { clock = systemClock, random = () => 0.5 } = options;
  const authority = signingAuthority(clock);
  const signer: FakeSigner = {
    x509Ttl: 3600,
    jwtTtl: 300,
    fail: undefined,
    hold: Promise.resolve(),
    batches: [],
    tokens: [],
  };
  let revision = 0n;
  const store: FedIdentityStore = createIdentityStore({
    clock,
    random,
    log: silentLogger(),
    keyType: 'ec-p256',
    jwtCache: options.jwtCache ?? 100,
    ...(options.x509SoftLimit === undefined ? {} : { x509SoftLimit: options.x509SoftLimit }),
    server: () => fakeServer(signer, authority, (id) => store.entries().get(id)),
  });
  const change = (full: boolean, upserts: Entry[], removed: string[]) => {
    revision += 1n;
    store.applyEntries({ epoch: 'test', revision, full, upserts, removed });
  };

  return Object.assign(store, {
    authority,
    server: signer,
    put: (...entries: Entry[]) => change(false, entries, []),
    remove: (...ids: string[]) => change(false, [], ids),
    publish(federated: readonly Bundle[] = [], crls: readonly Uint8Array[] = []) {
      const byDomain = new Map(federated.map((bundle) => [bundle.trustDomain, bundle]));
      store.setBundles({ own: authority.bundle(), federated: byDomain, crls });
    },
    serve() {
      store.setBundles({ own: authority.bundle(), federated: new Map(), crls: [] });
      const id = parseSpiffeId('spiffe://example.org/spire/agent/join_token/one');
      const lastContact = clock.now();
      store.setStatus({ id, phase: 'serving', state: 'trusted', connected: true, lastContact });
    },
  });
}

function fakeServer(
  signer: FakeSigner,
  authority: SigningAuthority,
  entry: (id: string) => Entry | undefined,
): Pick<ServerApi, 'signX509' | 'signJwt'> {
  const gate = async () => {
    if (signer.fail !== undefined) throw signer.fail;
    await signer.hold;
    if (signer.fail !== undefined) throw signer.fail;
  };
  const signOne = ({ entryId, csr }: SignRequest, found: Entry | undefined): SignResult => {
    if (found !== undefined)
      return { chain: authority.x509(csr, found.spiffeId, found.x509SvidTtl || signer.x509Ttl) };
    return { error: new TouchmarkError('server_refused', `entry ${entryId} is not known`) };
  };
  return {
    async signX509(requests) {
      signer.batches.push(requests.map(({ entryId }) => entryId));
      // What the server knows when the request arrives.
      const entries = requests.map(({ entryId }) => entry(entryId));
      await gate();
      return requests.map((request, at) => signOne(request, entries[at]));
    },
    async signJwt(entryId, audience) {
      signer.tokens.push({ entryId, audience });
      const found = entry(entryId);
      await gate();
      if (found === undefined) throw new TouchmarkError('server_refused', `entry ${entryId} is not known`);
      const ttl = found.jwtSvidTtl || signer.jwtTtl;
      const jti = found.jwtSvidIncludeJti ? String(signer.tokens.length) : undefined;
      return authority.jwt(found.spiffeId, audience, ttl, jti);
    },
  };
}
