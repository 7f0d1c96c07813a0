import { TouchmarkError } from '../errors.js';
import { hashByName } from '../tpm/algorithms.js';
import { checkAttestationKey } from '../tpm/attestation-key.js';
import { type PcrSelection, type PcrValues, pcrDigest, sameValue } from '../tpm/pcr.js';
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

/** What values beside a quote are worth. */
export interface SentValues {
  /** Values of all quoted PCRs, which reproduce the quoted digest; absent when they were not all sent: then only the digest is known. */
  readonly pcrValues?: PcrValues | undefined;
  /** Of some of them. They are claims: they count if, with what logs give for the others, they reproduce the digest. */
  readonly hints?: PcrValues | undefined;
}

export interface EvidenceFacts extends SentValues {
  quote: QuoteFacts;
  /** SHA-256 of the transcript: with the nonce, it is what the quote was made for. */
  transcript: Uint8Array;
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
  const facts = { quote, transcript: hash };
  if (derivedValues) return { ...facts, pcrValues: derivedValues };
  return { ...facts, ...sentValues(evidence.pcrValues, quote) };
}

/**
 * The values sent beside a quote: of all quoted PCRs, and then only if they give the quoted digest, or of some. An agent leaves out
 * those that moved meanwhile; values that do not fit were changed on the way.
 * @param before earlier values of the same host: those that are as they were stay the same objects
 * @throws TouchmarkError `quote_pcr_values`
 */
export function sentValues(values: readonly PcrValue[], quote: QuoteFacts, before?: PcrValues): SentValues {
  if (values.length === 0) return {};
  const { bank, pcrs } = quote.selection;
  const { size } = hashByName(bank);
  const byIndex: PcrValues = new Map(
    values.map(({ index, value }) => [index, ownCopy(value, before?.get(index))]),
  );
  const quoted = values.every(({ index, value }) => pcrs.includes(index) && value.length === size);
  if (quoted && values.length < pcrs.length) return { hints: byIndex };
  if (quoted && values.length === pcrs.length && givesDigest(byIndex, quote)) return { pcrValues: byIndex };
  throw new TouchmarkError('quote_pcr_values', 'the PCR values beside the quote do not give its digest');
}

/** What is remembered of a host must not keep the whole message, with its logs, in memory. */
function ownCopy(value: Uint8Array, before: Uint8Array | undefined): Uint8Array {
  return before !== undefined && sameValue(value, before) ? before : new Uint8Array(value);
}

function givesDigest(values: PcrValues, quote: QuoteFacts): boolean {
  try {
    return sameBytes(pcrDigest(quote.digestHash, quote.selection, values), quote.pcrDigest);
  } catch (error) {
    if (error instanceof TouchmarkError) return false; // a value is missing or of another size
    throw error;
  }
}
