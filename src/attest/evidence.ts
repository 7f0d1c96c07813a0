import { TouchmarkError } from '../errors.js';
import { checkAttestationKey } from '../tpm/attestation-key.js';
import { type PcrSelection, type PcrValues, pcrDigest } from '../tpm/pcr.js';
import type { TpmPublic } from '../tpm/public.js';
import { type QuoteFacts, verifyQuote } from '../tpm/quote.js';
import { sameBytes } from '../tpm/quote-checks.js';
import { checkActivationProof } from './activation.js';
import { checkEvidence } from './check-messages.js';
import type { Evidence, PcrValue } from './messages.js';
import { quoteExtraData, type TranscriptParts, transcript } from './transcript.js';

/** What the server kept of the challenge that it sent on this connection; good for one answer. */
export interface ChallengeSecrets {
  /** The attestation key that the credentials were made for. */
  ak: TpmPublic;
  /** In the order of the challenge. */
  credentials: readonly Uint8Array[];
  nonce: Uint8Array;
  selection: PcrSelection;
}

export interface EvidenceInput {
  challenge: ChallengeSecrets;
  evidence: Evidence;
  /** Bytes of this connection, as the server saw them. */
  transcript: TranscriptParts;
  /** PCR values that the server derived by replay, where it has any. */
  derivedValues?: PcrValues;
}

export interface EvidenceFacts {
  quote: QuoteFacts;
  /** Values of the quoted PCRs, if those sent reproduce the quoted digest; else absent, and only the digest is known. */
  pcrValues?: PcrValues;
}

/**
 * Verifies the answer to a challenge: the attestation key's template, then activation, then the quote with all its checks.
 * Does NOT establish that the endorsement keys are genuine or allowed (that is checked before the challenge is made), that the nonce
 * is still good (the caller's session knows), or what the PCR values mean.
 */
export function verifyEvidence({
  challenge,
  evidence,
  derivedValues,
  ...input
}: EvidenceInput): EvidenceFacts {
  checkEvidence(evidence);
  const ak = checkAttestationKey(challenge.ak);
  const hash = transcript(input.transcript);
  checkActivationProof(evidence.activationProof, challenge.credentials, hash);
  const { attest, signature } = evidence;
  const extraData = quoteExtraData(challenge.nonce, hash);
  const expected = { extraData, selection: challenge.selection };
  const quote = verifyQuote({
    attest,
    signature,
    ak,
    expected: derivedValues ? { ...expected, pcrValues: derivedValues } : expected,
  });
  const pcrValues = derivedValues ?? authenticatedValues(evidence.pcrValues, quote);
  return pcrValues ? { quote, pcrValues } : { quote };
}

/** The values sent beside a quote are hints; they count only if, for exactly the quoted PCRs, they give the quoted digest. */
export function authenticatedValues(values: readonly PcrValue[], quote: QuoteFacts): PcrValues | undefined {
  const byIndex = new Map(values.map(({ index, value }) => [index, value]));
  const quoted = new Map([...byIndex].filter(([index]) => quote.selection.pcrs.includes(index)));
  try {
    const digest = pcrDigest(quote.digestHash, quote.selection, quoted);
    return sameBytes(digest, quote.pcrDigest) ? quoted : undefined;
  } catch (error) {
    if (error instanceof TouchmarkError) return undefined; // a value is missing or of another size
    throw error;
  }
}
