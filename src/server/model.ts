/** What the server remembers: plain data, stored as JSON. Times are Unix milliseconds unless a name ends in `At` with SPIRE's meaning (Unix seconds). */
import type { ComponentAppraisal, MeasuredVerdict } from '../measure/appraise/contract.js';
import type { MeasurementObject } from '../measure/policy/model.js';
import type { Resolution } from '../measure/policy/resolve.js';
import type { SpiffeId } from '../spiffe/id.js';
import type { Selector } from '../spiffe/selector.js';

/** An attested agent, whatever attested it. */
export interface Node {
  readonly id: SpiffeId;
  /** `tpm`, `join_token` or `x509pop`. */
  readonly attestationType: string;
  readonly selectors: readonly Selector[];
  /** Hex serial of the SVID in use; empty when banned. */
  readonly serial: string;
  /** Hex serial of an SVID that was issued by renewal and not presented yet; it becomes `serial` when it is. */
  readonly nextSerial: string;
  /** Unix seconds at which the newest SVID ends. */
  readonly svidExpiresAt: number;
  readonly canReattest: boolean;
  readonly banned: boolean;
  readonly agentVersion: string;
  /** Rises with every attestation; a batch that saw an older number is refused. */
  readonly attestationNumber: number;
  /** The host whose chip this node proved; only `tpm` nodes have one. */
  readonly hostId?: string;
}

/** What a state permits is decided in hosts/state.ts and nowhere else. `stale` is derived from time and never stored. */
export type HostState =
  | 'pending'
  | 'trusted'
  | 'unmeasured'
  | 'suspect'
  | 'stale'
  | 'drifted'
  | 'quarantined'
  | 'banned'
  | 'retired';

/** Why something is as it is: a stable code and a sentence. */
export interface Reason {
  readonly code: string;
  readonly message: string;
}

/** One endorsement key of a chip, with what its certificate says. */
export interface HostEk {
  /** Hex SHA-256 of the SubjectPublicKeyInfo that we rebuilt from TPMT_PUBLIC. */
  readonly hash: string;
  /** `rsa2048`, `p256`, … */
  readonly algorithm: string;
  readonly manufacturer: string;
  readonly model: string;
  readonly firmware: string;
  readonly issuer: string;
  /** Name of the anchor that the certificate chains to; empty without a certificate. */
  readonly anchor: string;
  readonly notAfter: number;
  readonly deviations: readonly Reason[];
}

/** What the last accepted quote said. */
export interface QuoteRecord {
  readonly at: number;
  readonly resetCount: number;
  readonly restartCount: number;
  /** Milliseconds, decimal: the chip's clock has 64 bits. */
  readonly clock: string;
  readonly safe: boolean;
  /** Hex of 64 bits. */
  readonly firmwareVersion: string;
  readonly bank: string;
  /** PCR values by index, hex; authenticated by the quote's digest. */
  readonly pcrs: Readonly<Record<string, string>>;
}

/** A machine, known by the primary endorsement key of its chip. */
export interface Host {
  /** Hash of the primary EK: the one that was allowed, approved or accepted by the rule. */
  readonly id: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly eks: readonly HostEk[];
  readonly state: HostState;
  readonly stateSince: number;
  readonly reasons: readonly Reason[];
  /** While `suspect`: when the grace ends; 0 otherwise. */
  readonly graceEndsAt: number;
  /** What its counters or its sessions said against it; only an operator's release takes it away. */
  readonly suspicions?: readonly Reason[];
  /** When the grace of the first of them ends, whatever state the host is in. Unix milliseconds, 0 or absent: there is none. */
  readonly suspicionGraceEndsAt?: number;
  /** The last judgement of its evidence; absent before the first. Written when it changes, not with every tick. */
  readonly appraisal?: AppraisalRecord;
  /** While it fails within a maintenance window of its group: when that window ends. Unix milliseconds, 0: none. */
  readonly maintenanceUntil?: number;
  /** Hex Name of the attestation key. */
  readonly akName: string;
  /** TPMT_PUBLIC of the attestation key, base64: the quotes of its sessions are verified with it. */
  readonly akPublic?: string;
  /** Unix milliseconds of the last attestation; `lastQuote` may be of a session, and newer. */
  readonly attestedAt?: number;
  readonly lastQuote?: QuoteRecord;
  readonly attestationNumber: number;
  /** `allow-list`, `approval by uid 0`, `rule any-genuine`. */
  readonly enrolledBy: string;
  readonly enrolledAt: number;
}

/** A judgement as it is kept: `evidence verify` comes to the same one from the evidence that it names. */
export interface AppraisalRecord {
  readonly verdict: MeasuredVerdict;
  /** Unix milliseconds since which every judgement came to this verdict. */
  readonly since: number;
  /** Unix milliseconds of the evidence that it is of. */
  readonly at: number;
  /** Key of that evidence in the archive. */
  readonly evidenceId: string;
  readonly policyId: string;
  readonly policyName: string;
  /** The host group that the policy is from; empty: none matches. */
  readonly group: string;
  readonly components: readonly ComponentAppraisal[];
  /** `Appraisal.ukis`; absent in records of before. */
  readonly ukis?: readonly string[];
}

/** One quote with what it takes to verify it again; its logs lie beside it, in pieces that evidence of one boot shares. */
export interface EvidenceRecord {
  readonly id: string;
  readonly hostId: string;
  /** Unix milliseconds. */
  readonly at: number;
  /** TPMT_PUBLIC of the attestation key, base64. */
  readonly akPublic: string;
  /** TPMS_ATTEST and TPMT_SIGNATURE, base64. */
  readonly attest: string;
  readonly signature: string;
  /** What extraData was made from: label, nonce, and SHA-256 of transcript or tick; base64. */
  readonly asked: { readonly by: 'attestation' | 'tick'; readonly nonce: string; readonly hash: string };
  readonly bank: string;
  readonly pcrs: readonly number[];
  /** Authentic values by PCR index, hex; empty when only the digest is known. */
  readonly pcrValues: Readonly<Record<string, string>>;
  /** Names the boot whose logs these are: `<resetCount>-<restartCount>-<epoch>`. */
  readonly boot: string;
  /** Bytes of each log that belong to it; -1: the host said that it has none. */
  readonly logs: {
    readonly bootLog: number;
    readonly userspaceLog: number;
    readonly imaList: number;
  };
  /** Why a log is missing, by its kind. */
  readonly absent: Readonly<Record<string, string>>;
  readonly policyId: string;
  readonly verdict: MeasuredVerdict;
  readonly components: readonly ComponentAppraisal[];
}

/** One version of a policy, reference set or group, for ever; heads say which one a name means now. */
export interface MeasureObjectRecord {
  readonly object: MeasurementObject;
  /** Hex SHA-256 of its canonical form. */
  readonly hash: string;
  readonly createdAt: number;
  readonly createdBy: string;
}

/** What a policy came to at some time; kept so that old judgements can be made again. */
export interface MeasureResolutionRecord {
  readonly resolution: Resolution;
  readonly at: number;
}

/** A node whose identities were taken back; it is in the deny feed until every SVID that it was given has ended. */
export interface WithdrawalRecord {
  readonly nodeId: SpiffeId;
  readonly hostId: string;
  /** Unix milliseconds: what was issued before is not to be accepted. */
  readonly issuedBefore: number;
  readonly reasons: readonly Reason[];
  /** Unix milliseconds at which the last of them ends. */
  readonly until: number;
}

/** An endorsement key that an operator let in before the host ever called. */
export interface AllowedEk {
  readonly hash: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly allowedBy: string;
  readonly allowedAt: number;
}

export interface JoinToken {
  /** Hex SHA-256 of the token: the token itself is a secret and is not stored. */
  readonly hash: string;
  /** Unix seconds. */
  readonly expiresAt: number;
}

/** prepared -> active -> old; tainted and revoked besides. */
export interface AuthorityRecord {
  /** X.509: hex subject key identifier. JWT: the key's `kid`. */
  readonly id: string;
  readonly purpose: 'x509' | 'jwt';
  readonly slot: 'prepared' | 'active' | 'old';
  readonly tainted: boolean;
  /** Which key of the key manager signs, SVIDs or at last only lists of what is withdrawn; empty once nothing is signed any more. */
  readonly keyName: string;
  /** X.509: base64 DER certificates, the authority's own first, then up to but without the upstream root. */
  readonly chain: readonly string[];
  /** What is published: X.509 the root's base64 DER (the own certificate when self-signed), JWT the base64 SPKI. */
  readonly published: string;
  /** X.509 under an upstream authority: further roots of it that are published besides, base64 DER. */
  readonly otherRoots?: readonly string[];
  /** Hex subject key identifier of the upstream authority, or empty. */
  readonly upstreamAuthorityId: string;
  /** Unix seconds. */
  readonly issuedAt: number;
  readonly expiresAt: number;
}

/** A foreign or own bundle as it is stored. */
export interface BundleRecord {
  readonly trustDomain: string;
  readonly x509Authorities: readonly { der: string; tainted: boolean }[];
  readonly jwtAuthorities: readonly { keyId: string; spki: string; expiresAt: number; tainted: boolean }[];
  readonly refreshHint: number;
  /** Decimal: 64 bits. */
  readonly sequence: string;
}
