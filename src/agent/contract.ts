/** The agent's inner seams: what keeps identities, and what delivers them. */
import type { Bundle } from '../spiffe/bundle.js';
import type { Entry } from '../spiffe/entry.js';
import type { SpiffeId, TrustDomain } from '../spiffe/id.js';
import type { Selector } from '../spiffe/selector.js';

/** An X.509-SVID with its key, as a workload receives it. */
export interface X509Identity {
  readonly entry: Entry;
  /** Leaf first, DER, without the root. */
  readonly chain: readonly Uint8Array[];
  /** PKCS#8 DER. */
  readonly key: Uint8Array;
  /** Unix seconds. */
  readonly notBefore: number;
  readonly expiresAt: number;
}

/** Why an SVID of an entry could not be had. */
export interface SigningFailure {
  /** Unix milliseconds. */
  readonly at: number;
  readonly code: string;
  /** For operators: it can be the server's own words. */
  readonly message: string;
  /** For anybody. */
  readonly kind: string;
}

export interface Reason {
  readonly code: string;
  readonly message: string;
}

/** What the server lets this node do, as far as the agent knows. */
export interface NodeStatus {
  /** undefined until the first attestation. */
  readonly id?: SpiffeId;
  /**
   * `starting`: not attested or not synced yet (answer Unavailable); `serving`; `withdrawn`: the server took the
   * node's identities away (answer PermissionDenied with the reason).
   */
  readonly phase: 'starting' | 'serving' | 'withdrawn';
  /** The server's word for the host: trusted, unmeasured, … or empty. */
  readonly state: string;
  readonly reasons: readonly Reason[];
  readonly connected: boolean;
  /** Unix milliseconds of the last word from the server; 0 never. */
  readonly lastContact: number;
  readonly svidExpiresAt: number;
  /** A short code that an operator must approve, while the host waits for it; otherwise empty. */
  readonly approvalCode: string;
}

/** Bundles that identities are verified with: the own one and those of the federated domains. */
export interface Bundles {
  readonly own: Bundle;
  readonly federated: ReadonlyMap<TrustDomain, Bundle>;
  readonly crls: readonly Uint8Array[];
}

/**
 * Entries, SVIDs and bundles of this node. `version` rises with every change that a workload could see.
 * It is kept by sync and renewal and read by the Workload API; it does no I/O of its own on reads.
 */
export interface IdentityStore {
  readonly status: NodeStatus;
  readonly version: number;
  /** undefined while starting. */
  readonly bundles: Bundles | undefined;
  entries(): ReadonlyMap<string, Entry>;
  /** Entries whose selectors are all among these, in the order of conformance (by entry id; hints unique). */
  matching(selectors: readonly Selector[]): readonly Entry[];
  /** The SVID that is held for an entry, if it is held and not expired. */
  x509(entryId: string): X509Identity | undefined;
  /** What is known of an entry's SVID, for people: to look at it is no use of it. */
  look(entryId: string): { readonly identity?: X509Identity; readonly failure?: SigningFailure };
  /**
   * Makes sure that each of these entries has an SVID, signing what is missing; resolves when all are held or
   * rejects with `svid_unavailable`. Marks them as in use, so that they are renewed ahead of time.
   */
  ensureX509(entries: readonly Entry[], signal: AbortSignal): Promise<void>;
  /** A token for one entry; from the cache when one with more than half of its life left is held. */
  jwt(entry: Entry, audience: readonly string[], signal: AbortSignal): Promise<JwtIdentity>;
  /** After any change: entries, SVIDs, bundles, status. Coalesced: called once per turn of the event loop. */
  onChange(listener: () => void): () => void;
}

export interface JwtIdentity {
  readonly id: SpiffeId;
  readonly hint: string;
  readonly token: string;
  /** Unix seconds. */
  readonly expiresAt: number;
}
