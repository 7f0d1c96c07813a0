import { type ErrorRow, row } from './row.js';

/** Error codes of TPM structures, keys, quotes and certificates. */
export const tpmErrors = {
  // tpm: structures and keys
  tpm_structure_truncated: row('INVALID_ARGUMENT', 'Send the structure whole, as the TPM returned it.'),
  tpm_structure_trailing: row(
    'INVALID_ARGUMENT',
    'Send exactly one structure, without its TPM2B size and without padding.',
  ),
  tpm_structure_too_large: row(
    'INVALID_ARGUMENT',
    'No TPM writes a field of that size: check what produced the bytes.',
  ),
  tpm_structure_invalid: row('INVALID_ARGUMENT', 'No TPM writes that value: check what produced the bytes.'),
  tpm_algorithm_unsupported: row(
    'INVALID_ARGUMENT',
    'Use RSA or NIST P-256, P-384, P-521 keys with SHA-256 or stronger.',
  ),
  tpm_key_invalid: row(
    'INVALID_ARGUMENT',
    'Read the key from the TPM again; a point off its curve is never accepted.',
  ),
  pcr_selection_invalid: row(
    'INVALID_ARGUMENT',
    'Choose PCRs out of 0 to 23 in one bank, such as sha256:0,2,4,7.',
  ),
  pcr_values_invalid: row(
    'INVALID_ARGUMENT',
    'Send one value of the size of the bank for each PCR of the selection.',
  ),
  // tpm: attestation key
  ak_unrestricted: row(
    'PERMISSION_DENIED',
    'Create the attestation key with the template in docs/attestation.md.',
  ),
  ak_not_signing: row(
    'PERMISSION_DENIED',
    'Create the attestation key with the template in docs/attestation.md.',
  ),
  ak_decrypts: row(
    'PERMISSION_DENIED',
    'Create the attestation key with the template in docs/attestation.md.',
  ),
  ak_not_fixed_tpm: row(
    'PERMISSION_DENIED',
    'Create the attestation key with the template in docs/attestation.md.',
  ),
  ak_not_fixed_parent: row(
    'PERMISSION_DENIED',
    'Create the attestation key with the template in docs/attestation.md.',
  ),
  ak_imported: row(
    'PERMISSION_DENIED',
    'Create the attestation key inside the TPM; an imported key proves nothing.',
  ),
  ak_no_user_auth: row(
    'PERMISSION_DENIED',
    'Create the attestation key with the template in docs/attestation.md.',
  ),
  ak_lockout: row(
    'PERMISSION_DENIED',
    'Create the attestation key with noDA, or a lockout of the TPM stops attestation.',
  ),
  ak_attributes_unexpected: row(
    'PERMISSION_DENIED',
    'Create the attestation key with the template in docs/attestation.md.',
  ),
  ak_curve: row('PERMISSION_DENIED', 'Create the attestation key on P-256.'),
  ak_scheme: row('PERMISSION_DENIED', 'Fix the scheme ECDSA with SHA-256 in the attestation key.'),
  ak_symmetric: row(
    'PERMISSION_DENIED',
    'Create the attestation key with the symmetric scheme TPM_ALG_NULL.',
  ),
  ak_name_algorithm: row('PERMISSION_DENIED', 'Create the attestation key with nameAlg SHA-256.'),
  ak_policy: row('PERMISSION_DENIED', 'Create the attestation key without an authorisation policy.'),
  // tpm: endorsement key
  ek_template: row(
    'PERMISSION_DENIED',
    'Use an endorsement key made from a template of the TCG EK Credential Profile.',
  ),
  ek_attributes: row(
    'PERMISSION_DENIED',
    'Use an endorsement key made from a template of the TCG EK Credential Profile.',
  ),
  ek_policy: row(
    'PERMISSION_DENIED',
    'Use an endorsement key made from a template of the TCG EK Credential Profile.',
  ),
  ek_symmetric: row(
    'PERMISSION_DENIED',
    'Use an endorsement key made from a template of the TCG EK Credential Profile.',
  ),
  ek_scheme: row(
    'PERMISSION_DENIED',
    'Use an endorsement key made from a template of the TCG EK Credential Profile.',
  ),
  ek_name_algorithm: row(
    'PERMISSION_DENIED',
    'Use an endorsement key made from a template of the TCG EK Credential Profile.',
  ),
  ek_key: row(
    'PERMISSION_DENIED',
    'Read the endorsement key from the TPM again; its number must have the size of its template.',
  ),
  ek_key_weak: row(
    'PERMISSION_DENIED',
    "Update the chip's firmware and let it make a new key, use its elliptic-curve key, or allow the host by its EK hash knowing that anybody may compute this one.",
  ),
  credential_too_long: row('INTERNAL', 'Use credentials of 32 bytes.'),
  // tpm: quotes
  quote_pcr_values: row(
    'PERMISSION_DENIED',
    'Send the values of the quoted PCRs as they were when quoted, or none.',
  ),
  quote_signature_scheme: row(
    'PERMISSION_DENIED',
    'Quote with the scheme that is fixed in the attestation key.',
  ),
  quote_signature: row(
    'PERMISSION_DENIED',
    'Send the attested bytes and the signature exactly as TPM2_Quote returned them.',
  ),
  quote_magic: row(
    'PERMISSION_DENIED',
    'Send what TPM2_Quote returned; nothing else is signed for this purpose.',
  ),
  quote_type: row('PERMISSION_DENIED', 'Send the attestation structure that was asked for.'),
  quote_nonce: row(
    'PERMISSION_DENIED',
    'Quote with the challenge of this very connection; a challenge is good once.',
  ),
  quote_signer: row(
    'PERMISSION_DENIED',
    'Create the attestation key as a primary of the endorsement hierarchy.',
  ),
  quote_selection: row(
    'PERMISSION_DENIED',
    'Quote exactly the PCRs that were asked for; is the bank allocated in this TPM?',
  ),
  quote_pcr_digest: row(
    'PERMISSION_DENIED',
    'The logs do not explain what the TPM holds: compare PCR by PCR with touchmark inspect quote.',
  ),
  certify_name: row('PERMISSION_DENIED', 'Certify the very key that is presented.'),
  // tpm: endorsement-key certificates
  ek_certificate_invalid: row(
    'INVALID_ARGUMENT',
    'Send the certificate as it is in NV, in DER; touchmark inspect ek FILE shows what was read.',
  ),
  ek_certificate_platform: row(
    'PERMISSION_DENIED',
    'Send the endorsement-key certificate (0x01C00002 or following), not the platform certificate.',
  ),
  ek_certificate_usage: row(
    'PERMISSION_DENIED',
    'This certificate is not for an endorsement key; find the right one with touchmark inspect tpm.',
  ),
  ek_certificate_key: row(
    'PERMISSION_DENIED',
    'Use an RSA (2048 to 4096 bits) or NIST curve endorsement key.',
  ),
  ek_certificate_other_key: row(
    'PERMISSION_DENIED',
    'The certificate belongs to another key: was the TPM exchanged, or its endorsement seed changed?',
  ),
  ek_certificate_critical: row(
    'PERMISSION_DENIED',
    'The certificate carries a condition that is not understood; allow the host by its EK hash instead.',
  ),
  ek_certificate_validity: row(
    'PERMISSION_DENIED',
    'Set expired_ek_certificates to warn, or allow the host by its EK hash.',
  ),
  ek_chain_untrusted: row(
    'PERMISSION_DENIED',
    "Add the vendor's CA to the anchors, or its intermediate certificates; touchmark inspect ek shows the issuer.",
  ),
  ek_chain_too_large: row(
    'RESOURCE_EXHAUSTED',
    'Send only the certificates between the endorsement key and its vendor.',
  ),
  anchors_invalid: row(
    'INVALID_ARGUMENT',
    'Give PEM certificates that match their index; see data/ek-anchors/README.md.',
  ),
  // attest
  attest_message_invalid: row(
    'INVALID_ARGUMENT',
    'Agent and server must speak the protocol of docs/attestation.md: compare their versions.',
  ),
  attest_message_too_large: row(
    'RESOURCE_EXHAUSTED',
    'Send fewer or smaller items; the limits are in docs/attestation.md.',
  ),
  activation_proof: row(
    'PERMISSION_DENIED',
    'The answer was not made by the chip that was challenged, or not for this connection; attest again.',
  ),
} as const satisfies Record<string, ErrorRow>;
