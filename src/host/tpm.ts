import type { Logger } from '../log.js';
import type { HashName } from '../tpm/algorithms.js';
import type { EkTemplateName } from '../tpm/ek-templates.js';
import type { PcrSelection } from '../tpm/pcr.js';

export type { PcrSelection } from '../tpm/pcr.js';
export type EkTemplate = EkTemplateName;

export interface EndorsementKey {
  template: EkTemplate;
  /** TPMT_PUBLIC bytes, without the length of a TPM2B_PUBLIC. */
  public: Uint8Array;
  /** One DER certificate, without the TCG header and padding. Its key equals `public`; nothing else is checked. */
  certificate?: Uint8Array;
}

export type PcrBank = HashName;

export interface Quote {
  /** TPMS_ATTEST, as it was signed. */
  attest: Uint8Array;
  /** TPMT_SIGNATURE. */
  signature: Uint8Array;
}

/** What the chip says about itself: a report for people, never evidence. */
export interface TpmFacts {
  /** TPM_PT_MANUFACTURER as text: `IFX`, `NTC`, `STM`, `IBM` ... */
  manufacturer: string;
  vendorString: string;
  /** 64 bits as 16 hexadecimal digits. */
  firmwareVersion: string;
  /** `2.0` */
  family: string;
  /** Specification revision times 100: 138, 159, 164 ... */
  revision: number;
  /** Banks with at least one allocated PCR. */
  banks: PcrSelection[];
  /** Failed authorisations counted towards the dictionary attack lockout. */
  lockoutCounter: number;
  loadedHandles: LoadedHandles;
  /** Largest number of bytes that one NV_Read returns. */
  nvBufferMax: number;
}

export interface LoadedHandles {
  transient: number;
  loadedSessions: number;
  savedSessions: number;
  persistent: number;
}

/**
 * One TPM 2.0. Calls are serialised, run off the event loop, and leave nothing loaded in the chip, whatever happens.
 * Every method can throw `tpm_unavailable`, `tpm_timeout`, `tpm_lockout` and `tpm_command_failed`.
 */
export interface TpmDevice extends AsyncDisposable {
  describe(): Promise<TpmFacts>;
  /** Each EK that has a certificate in NV; without any, the RSA-2048 L-1 key (or the P-256 L-2 one) without certificate. */
  endorsementKeys(): Promise<EndorsementKey[]>;
  /** Single DER certificates of NV 0x01C00100-0x01C001FF: intermediates, to be trusted by nobody as they are. */
  chainCertificates(): Promise<Uint8Array[]>;
  /**
   * The restricted P-256 ECDSA-SHA256 primary of the endorsement hierarchy (attributes 0x00050472) with these 32 bytes
   * as ECC x of its `unique`: the same key for the same bytes, for as long as the endorsement seed lives.
   * @returns TPMT_PUBLIC
   */
  attestationKey(unique: Uint8Array): Promise<Uint8Array>;
  /**
   * TPM2_ActivateCredential with the AK of `unique` and the EK of `ek`.
   * @param credentialBlob content of TPM2B_ID_OBJECT (without its outer length)
   * @param encryptedSecret content of TPM2B_ENCRYPTED_SECRET (without its outer length)
   * @throws TouchmarkError `tpm_credential_refused` when the blob was made for another key or another AK
   */
  activateCredential(
    ek: EkTemplate,
    unique: Uint8Array,
    credentialBlob: Uint8Array,
    encryptedSecret: Uint8Array,
  ): Promise<Uint8Array>;
  /** @param qualifyingData at most 34 bytes (SHA-256-only chips); use exactly 32 */
  quote(unique: Uint8Array, qualifyingData: Uint8Array, selection: PcrSelection): Promise<Quote>;
  /** Unsigned hints. A PCR that is not allocated in the bank is missing from the map. */
  pcrRead(selection: PcrSelection): Promise<Map<number, Uint8Array>>;
}

export interface OpenTpmOptions {
  /** `device:/dev/tpmrm0`, `swtpm:path=/run/x.sock`, `swtpm:host=localhost,port=2321`: any TCTI string of tpm2-tss. */
  tcti: string;
  log: Logger;
  /** The endorsement hierarchy's authorisation value, where the operator set one. */
  endorsementAuth?: Uint8Array;
  /** Longest wait for one TPM command; default 30 000 (an RSA primary takes up to 8 s on real chips). */
  timeoutMs?: number;
}
