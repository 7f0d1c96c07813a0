import type { LogLevel } from '../log.js';
import type { TrustDomain } from '../spiffe/id.js';

/** The server's configuration, checked. Durations are seconds. The table in server-keys.ts yields exactly this. */
export interface ServerConfig {
  readonly trustDomain: TrustDomain;
  readonly dataDir: string;
  /** The operators' Unix socket. */
  readonly socketPath: string;
  readonly bindAddress: string;
  readonly bindPort: number;
  readonly log: { readonly level: LogLevel; readonly format: 'json' | 'text' };
  readonly audit: boolean;
  readonly ca: {
    readonly keyType: 'ec-p256' | 'ec-p384' | 'rsa-2048' | 'rsa-4096';
    readonly ttl: number;
    readonly subject: {
      readonly country: string;
      readonly organization: string;
      readonly commonName: string;
    };
  };
  readonly jwt: {
    /** Empty: no `iss` claim. */
    readonly issuer: string;
    readonly keyType: 'ec-p256' | 'ec-p384' | 'rsa-2048' | 'rsa-4096';
  };
  readonly svid: { readonly x509Ttl: number; readonly jwtTtl: number; readonly agentTtl: number };
  readonly bundleRefreshHint: number;
  readonly weakSelectors: 'warn' | 'refuse';
  readonly keyManager: { readonly type: 'disk'; readonly path: string } | { readonly type: 'memory' };
  readonly datastore: { readonly type: 'level'; readonly path: string };
  readonly upstreamAuthority?: {
    readonly type: 'disk';
    readonly certFile: string;
    readonly keyFile: string;
    readonly bundleFile: string;
  };
  readonly attestation: {
    /** Absent: this way of attesting is refused. */
    readonly tpm?: TpmAttestationConfig;
    readonly joinToken?: Record<string, never>;
    readonly x509pop?: { readonly caBundleFiles: readonly string[] };
  };
  readonly measurement: {
    /** Seconds between two questions to a host. */
    readonly tickInterval: number;
    /** Seconds for which evidence is kept. */
    readonly keepEvidence: number;
    /** Percent of the good hosts whose trust one publication may take. */
    readonly blastRadius: number;
  };
  /** Where the read-only page for operators is served; absent: nowhere. */
  readonly page?: PageConfig;
  /** Seconds for which the deny feed and the CRLs are good; absent: a day. */
  readonly deny?: { readonly lifetime: number };
  /** HTTPS for relying parties; absent: none. */
  readonly web?: WebConfig;
  /** Who may do what beside root and the server's own uid on the Unix socket. */
  readonly administrators: readonly Administrator[];
  /** Seconds that the record of events keeps them; 0: for ever. */
  readonly record: { readonly keep: number };
  /** Undefined: no limits. Per second and address. */
  readonly rateLimits?: {
    readonly attest: number;
    readonly sign: number;
    readonly postStatus: number;
  };
}

/** In clear on a Unix socket or to this machine alone; elsewhere over TLS to operators with an SVID. */
export type PageConfig =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'loopback' | 'tls'; readonly host: string; readonly port: number };

/** Where relying parties fetch what is published. Without certificate and key the server's X.509-SVID is shown. */
export interface WebConfig {
  readonly bindAddress: string;
  readonly bindPort: number;
  readonly certFile?: string;
  readonly keyFile?: string;
}

export interface TpmAttestationConfig {
  /**
   * `approval`: unknown chips wait for an operator. `allow-list`: they are refused. `any-genuine`: every chip with a
   * chain to an anchor is enrolled, by one EK algorithm only.
   */
  readonly enrol: 'approval' | 'allow-list' | 'any-genuine';
  readonly anyGenuineAlgorithm: 'rsa2048' | 'p256' | 'p384';
  /** The vendor anchors that ship with Touchmark. */
  readonly vendorAnchors: boolean;
  /** PEM files or directories with further anchors and intermediates. */
  readonly anchorPaths: readonly string[];
  readonly expiredCertificates: 'accept' | 'warn' | 'reject';
  readonly pcrBank: 'sha256' | 'sha384';
  readonly pcrs: readonly number[];
  /** Seconds that an answer to a challenge may take. */
  readonly challengeTimeout: number;
  readonly approval: { readonly perAddress: number; readonly total: number; readonly ttl: number };
  /** Seconds that a suspect host keeps getting SVIDs. */
  readonly suspectGrace: number;
  /** Seconds between re-attestations. */
  readonly reattestInterval: number;
}

export const roles = ['viewer', 'approver', 'policy-author', 'admin'] as const;
export type Role = (typeof roles)[number];

/** Either a SPIFFE ID or a Unix uid, with a role. */
export type Administrator =
  | { readonly spiffeId: string; readonly role: Role }
  | { readonly uid: number; readonly role: Role };
