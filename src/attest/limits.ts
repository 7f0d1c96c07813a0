/** Bounds of every field of an attestation, in bytes or items; checked before anything is parsed or computed. */
export const limits = {
  endorsementKeys: 8,
  /** TPMT_PUBLIC: RSA-4096 has 570 bytes. */
  publicArea: 1024,
  certificate: 8 * 1024,
  chainCertificates: 16,
  banks: 8,
  features: 32,
  /** Names, versions, features, codes. */
  text: 128,
  /** nameAlg and the largest digest. */
  name: 66,
  credentialBlob: 256,
  /** RSA-4096. */
  encryptedSecret: 512,
  pcrs: 24,
  /** TPMS_ATTEST of a quote with the largest digests and four banks. */
  attest: 512,
  /** TPMT_SIGNATURE: RSA-4096 has 518 bytes. */
  signature: 520,
  digest: 64,
} as const;
