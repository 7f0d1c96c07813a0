/**
 * The three messages of a `tpm` attestation (docs/attestation.md). They travel as `touchmark.attest.v1` inside SPIRE's
 * AttestAgent; these are the types that both sides work with once bytes are decoded.
 */
import type { LogWish, SentLogPart } from './logs.js';

/** agent -> server. Claims only: nothing of it becomes a fact before it is verified. */
export interface Hello {
  /** TPMT_PUBLIC of the attestation key, without the TPM2B size. */
  akPublic: Uint8Array;
  endorsementKeys: HelloEndorsementKey[];
  /** DER, from the chip's NV (0x01C00100-0x01C001FF): intermediates only, never anchors. */
  chainCertificates: Uint8Array[];
  /** Names of the PCR banks that are allocated, such as `sha256`. */
  banks: string[];
  agentVersion: string;
  features: string[];
}

export interface HelloEndorsementKey {
  /** TPMT_PUBLIC of the endorsement key, without the TPM2B size. */
  public: Uint8Array;
  /** DER; empty when the chip holds none for this key. */
  certificate: Uint8Array;
}

/** server -> agent. */
export interface Challenge {
  /** One per endorsement key of the Hello that the server accepts, all made for the same attestation key. */
  credentials: ChallengeCredential[];
  /** 32 bytes, drawn for this challenge alone. */
  nonce: Uint8Array;
  /** `sha256` or stronger. */
  pcrBank: string;
  /** Ascending, without repetition. */
  pcrs: number[];
  /** Unix milliseconds on the server's clock: for the agent's log and its own time-out, not for a decision. */
  deadlineUnixMs: number;
  /** Empty, or what the agent shows so that an operator can find this host in the queue of approvals. */
  approvalCode: string;
  /** Read after the quote; absent: none. */
  logs?: readonly LogWish[];
}

export interface ChallengeCredential {
  /** Name of the endorsement key that this is made for. */
  ekName: Uint8Array;
  /** Content of TPM2B_ID_OBJECT, without its outer size. */
  credentialBlob: Uint8Array;
  /** Content of TPM2B_ENCRYPTED_SECRET, without its size. */
  encryptedSecret: Uint8Array;
}

/** agent -> server. */
export interface Evidence {
  /** HMAC-SHA-256 of the transcript under all activated credentials, joined in the order of the challenge. */
  activationProof: Uint8Array;
  /** TPMS_ATTEST exactly as the chip signed it, without the TPM2B size. */
  attest: Uint8Array;
  /** TPMT_SIGNATURE. */
  signature: Uint8Array;
  /** Hints: authenticated only when they reproduce the digest that is quoted. */
  pcrValues: PcrValue[];
  /** Answers the wishes of the challenge; absent: none. */
  logs?: readonly SentLogPart[];
}

export interface PcrValue {
  index: number;
  value: Uint8Array;
}
