/** What the agent asks its server, in the agent's own types: no protobuf and no gRPC past this door. */
import type { KeyObject } from 'node:crypto';
import type { TouchmarkError } from '../../errors.js';
import type { Bundle } from '../../spiffe/bundle.js';
import type { Entry } from '../../spiffe/entry.js';
import type { SpiffeId, TrustDomain } from '../../spiffe/id.js';
import type { Reason } from '../contract.js';
import type { LogQuestion, MeasuringStream } from '../measure/ticks.js';

/** The agent's own identity, with the key that lives in memory only. */
export interface NodeSvid {
  readonly id: SpiffeId;
  /** Leaf first, DER, without the root. */
  readonly chain: readonly Uint8Array[];
  readonly key: KeyObject;
  /** Unix seconds. */
  readonly notBefore: number;
  readonly expiresAt: number;
  /** Whether renewal is a new attestation; otherwise RenewAgent. */
  readonly reattestable: boolean;
}

export interface SignRequest {
  readonly entryId: string;
  /** PKCS#10, DER. */
  readonly csr: Uint8Array;
}

/** One answer for each request, in the same order. */
export type SignResult = { readonly chain: readonly Uint8Array[] } | { readonly error: TouchmarkError };

/**
 * The RPCs of one mutually authenticated channel. Each throws a TouchmarkError: `server_away`, `node_refused`
 * (a new attestation helps), `node_banned`, `server_unimplemented`, or `server_refused` for every other status.
 */
export interface ServerApi {
  /** Tells the version of this agent, and the sequence of the bundle that it holds. */
  postStatus(bundleSequence: bigint, signal: AbortSignal): Promise<void>;
  renewAgent(csr: Uint8Array, signal: AbortSignal): Promise<readonly Uint8Array[]>;
  openSession(hello: SessionHello, signal: AbortSignal): SessionStream;
  /** One whole round of SyncAuthorizedEntries; `held` are the revisions that need no second transfer. */
  syncEntries(held: ReadonlyMap<string, Entry>, signal: AbortSignal): Promise<ReadonlyMap<string, Entry>>;
  bundle(signal: AbortSignal): Promise<Bundle>;
  /** undefined when the server does not know the domain. */
  federatedBundle(domain: TrustDomain, signal: AbortSignal): Promise<Bundle | undefined>;
  /** At most 100 requests. */
  signX509(requests: readonly SignRequest[], signal: AbortSignal): Promise<readonly SignResult[]>;
  /** The token alone: what it says of its own end is what counts. */
  signJwt(entryId: string, audience: readonly string[], signal: AbortSignal): Promise<string>;
}

export interface SessionHello {
  readonly revision: bigint;
  readonly epoch: string;
  readonly bundleSequence: bigint;
  /** What this agent can do beyond the first version. */
  readonly features: readonly string[];
}

/** One session stream. The iterator ends or throws when the stream does; it is read by one reader. */
export interface SessionStream extends AsyncIterable<SessionMessage>, MeasuringStream {
  heartbeat(): void;
  fail(code: string, message: string): void;
  cancel(): void;
}

export type SessionMessage =
  | EntriesMessage
  | {
      readonly kind: 'bundles';
      readonly own: Bundle | undefined;
      readonly federated: readonly Bundle[];
      readonly crls: readonly Uint8Array[];
    }
  | {
      readonly kind: 'verdict';
      readonly state: string;
      readonly reasons: readonly Reason[];
      /** Unix seconds; 0 never. */
      readonly reattestAt: number;
      readonly graceEndsAt: number;
    }
  | { readonly kind: 'withdraw'; readonly reasons: readonly Reason[] }
  | { readonly kind: 'heartbeat'; readonly serverTime: number }
  /** A Tick exactly as it was on the wire: the quote is bound to these bytes. */
  | { readonly kind: 'tick'; readonly bytes: Uint8Array }
  | ({ readonly kind: 'log-request' } & LogQuestion)
  /** Something this agent does not know or could not read: the session goes on where that is safe. */
  | { readonly kind: 'unusable'; readonly why: string };

export interface EntriesMessage {
  readonly kind: 'entries';
  readonly epoch: string;
  readonly revision: bigint;
  readonly full: boolean;
  readonly upserts: readonly Entry[];
  readonly removed: readonly string[];
  readonly more: boolean;
}
