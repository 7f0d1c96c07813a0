/**
 * What a hash or a signature is for. Every use has its own label, so that nothing made for one can be shown in another's place.
 */
export const label = {
  /** extraData of the quote of an attestation. */
  attestationQuote: 'touchmark-attest-v1',
  /** extraData of the quotes of a session. */
  tickQuote: 'touchmark-tick-v1',
  /** extraData of quotes made while cut off. */
  offlineQuote: 'touchmark-offline-v1',
  /** The transcript of an attestation with type `tpm`. */
  transcript: 'touchmark-tpm-v1',
  /** `unique` of the attestation key's template. */
  attestationKey: 'touchmark-ak-v1',
  /** The code that an agent shows and an operator approves. */
  enrolmentCode: 'touchmark-enrol-v1',
} as const;
