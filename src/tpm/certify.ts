import { TouchmarkError } from '../errors.js';
import { type CertifyAttest, parseCertify } from './attest.js';
import { checkQuotingKey } from './attestation-key.js';
import { nameOf } from './name.js';
import type { TpmPublic } from './public.js';
import {
  checkExtraData,
  checkQualifiedSigner,
  checkSignature,
  checkSignatureScheme,
  sameBytes,
} from './quote-checks.js';
import { parseSignature } from './signature.js';

export interface CertifyInput {
  /** TPMS_ATTEST exactly as it was signed. */
  attest: Uint8Array;
  /** TPMT_SIGNATURE. */
  signature: Uint8Array;
  /** The attestation key that is held to be good. */
  ak: TpmPublic;
  /** The key that is said to lie beside it in the chip. */
  subject: TpmPublic;
  extraData: Uint8Array;
}

/**
 * Verifies a TPM2_Certify: the chip of `ak` held `subject`, with exactly these attributes, when it answered `extraData`.
 * Does NOT establish that the subject's attributes are those wanted, nor who may use it.
 */
export function verifyCertify({ attest, signature, ak, subject, extraData }: CertifyInput): CertifyAttest {
  checkQuotingKey(ak);
  const parsed = parseSignature(signature);
  checkSignatureScheme(parsed, ak);
  checkSignature(attest, parsed, ak);
  const certify = parseCertify(attest);
  checkExtraData(certify.extraData, extraData);
  checkQualifiedSigner(certify.qualifiedSigner, ak);
  if (sameBytes(certify.name, nameOf(subject))) return certify;
  throw new TouchmarkError('certify_name', 'the certified Name is not that of the key presented');
}
