/** The server's inner seams: what its rooms ask of one another. */
import type { KeyObject } from 'node:crypto';
import type { Bundle } from '../spiffe/bundle.js';
import type { Entry } from '../spiffe/entry.js';
import type { SpiffeId } from '../spiffe/id.js';
import type { AuthorityRecord, Host, Node } from './model.js';

/** Everything that is read on hot paths, in memory, always at one committed revision. Built from the datastore and kept by its commits. */
export interface Registry {
  readonly revision: number;
  entry(id: string): Entry | undefined;
  entries(): Iterable<Entry>;
  readonly entryCount: number;
  node(id: SpiffeId): Node | undefined;
  nodes(): Iterable<Node>;
  readonly nodeCount: number;
  host(id: string): Host | undefined;
  hosts(): Iterable<Host>;
  /** The host that any of a chip's EK hashes belongs to. */
  hostByEk(hash: string): Host | undefined;
  /**
   * Entries that a node may hold: all descendants, by parentId, of its own ID and of its node aliases (entries under
   * /spire/server whose selectors are a subset of the node's).
   */
  authorizedEntries(node: SpiffeId): ReadonlyMap<string, Entry>;
  /** Whether one entry is among them; walks up from the entry, so that it costs its depth only. */
  isAuthorized(node: SpiffeId, entry: Entry): boolean;
  /** The nodes whose authorised set a change of these entries can touch, of those that are asked about. */
  nodesTouchedBy(entries: readonly Entry[], candidates: Iterable<SpiffeId>): Set<SpiffeId>;
  /** The nodes that may hold an entry, by themselves or by an alias. */
  nodesHolding(entry: Entry): Set<SpiffeId>;
  /** After the registry took in a commit. */
  onChange(listener: (change: RegistryChange) => void): () => void;
}

export interface RegistryChange {
  readonly revision: number;
  /** Old and new version of each entry that changed; one of them is missing when it was created or deleted. */
  readonly entries: readonly { before?: Entry; after?: Entry }[];
  readonly nodes: readonly { before?: Node; after?: Node }[];
  readonly hosts: readonly { before?: Host; after?: Host }[];
  /** Trust domain names whose stored bundle changed. */
  readonly bundles: readonly string[];
}

/** An authority that signs, with what its signatures need. */
export interface X509Signer {
  readonly id: string;
  readonly key: KeyObject;
  /** DER, own certificate first; what follows a leaf in its chain (empty when self-signed). */
  readonly certificate: Uint8Array;
  readonly intermediates: readonly Uint8Array[];
  /** Unix seconds. */
  readonly notAfter: number;
}

export interface JwtSigner {
  readonly id: string;
  readonly key: KeyObject;
  readonly algorithm: 'ES256' | 'ES384' | 'RS256';
  readonly notAfter: number;
}

export interface AuthorityState {
  readonly active?: AuthorityRecord;
  readonly prepared?: AuthorityRecord;
  readonly old?: AuthorityRecord;
}

/** One purpose's keys and their life: prepare, activate, taint, revoke; by hand or by time. */
export interface AuthoritySlots<Signer> {
  signer(): Signer;
  /** Of every authority whose key is held: the active one, the prepared one, and old ones. */
  signers(): readonly Signer[];
  state(): AuthorityState;
  prepare(): Promise<AuthorityRecord>;
  activate(id: string): Promise<AuthorityRecord>;
  taint(id: string): Promise<AuthorityRecord>;
  revoke(id: string): Promise<AuthorityRecord>;
}

export interface Authority extends AsyncDisposable {
  readonly x509: AuthoritySlots<X509Signer>;
  readonly jwt: AuthoritySlots<JwtSigner>;
  /** The own bundle as it is published now; the same object until it changes. */
  bundle(): Bundle;
  /** A foreign bundle, or the own one, by trust domain name. */
  bundleOf(trustDomain: string): Bundle | undefined;
  /** The trust domain names of the foreign bundles that are stored. */
  foreignDomains(): readonly string[];
  /** Publishes further authorities of the own domain; those that are published already change nothing. */
  append(additions: Pick<Bundle, 'x509Authorities' | 'jwtAuthorities'>): Promise<Bundle>;
  taintUpstream(subjectKeyId: string): Promise<void>;
  revokeUpstream(subjectKeyId: string): Promise<void>;
  /** When the own bundle, a signer or a foreign bundle changed. */
  onChange(listener: () => void): () => void;
}

export interface X509Request {
  readonly id: SpiffeId;
  /** SubjectPublicKeyInfo, DER, out of a CSR whose signature was verified. */
  readonly spki: Uint8Array;
  /** Seconds; 0 takes the configured default. The signer's end caps it. */
  readonly ttl: number;
  readonly dnsNames?: readonly string[];
  /** Whose it is, or on which it runs: its serial number is then one that was reserved for this node, so that it can be withdrawn. */
  readonly node?: SpiffeId;
}

export interface IssuedX509 {
  readonly id: SpiffeId;
  /** Leaf first, without the root. */
  readonly chain: readonly Uint8Array[];
  /** Unix seconds. */
  readonly expiresAt: number;
  /** Hex. */
  readonly serial: string;
}

export interface IssuedJwt {
  readonly id: SpiffeId;
  readonly token: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
}

/** The one place that builds certificates and tokens, and that reads them again after signing. */
/** What a serial number is drawn for; `jwt` has none. */
export type IssuedKind = 'workload' | 'agent' | 'downstream' | 'jwt' | 'jti';

export interface Issuer {
  /**
   * To be asked before anything is issued for a node, until it answers undefined: a serial number is at hand then.
   * @param ttl seconds, as in the request that follows
   * @param hint how many will be wanted soon
   */
  reserve(node: SpiffeId, kind: IssuedKind, ttl: number, hint: number): Promise<void> | undefined;
  workloadX509(request: X509Request): IssuedX509;
  agentX509(request: X509Request): IssuedX509;
  serverX509(spki: Uint8Array): IssuedX509;
  /** @param request `node`: of the server that asks; undefined: it runs on none that is known, and its serial number is random */
  downstreamCa(
    request: Pick<X509Request, 'spki' | 'ttl'> & { readonly node: SpiffeId | undefined },
  ): IssuedX509;
  jwt(request: {
    id: SpiffeId;
    audience: readonly string[];
    ttl: number;
    withJti: boolean;
    node?: SpiffeId;
  }): IssuedJwt;
}
