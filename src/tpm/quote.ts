import { TouchmarkError } from '../errors.js';
import { hashByName } from './algorithms.js';
import { parseQuote, type QuoteAttest } from './attest.js';
import { checkQuotingKey } from './attestation-key.js';
import type { PcrSelection, PcrValues } from './pcr.js';
import type { SigningScheme, TpmPublic } from './public.js';
import {
  checkExtraData,
  checkPcrDigest,
  checkQualifiedSigner,
  checkSelection,
  checkSignature,
  checkSignatureScheme,
} from './quote-checks.js';
import { parseSignature, type TpmSignature } from './signature.js';

export interface QuoteInput {
  /** TPMS_ATTEST exactly as it was signed. */
  attest: Uint8Array;
  /** TPMT_SIGNATURE. */
  signature: Uint8Array;
  /** The attestation key that is held to be good: activated, or taken from the record of an activation. */
  ak: TpmPublic;
  expected: ExpectedQuote;
}

/** What is compared is computed by us. `inspect` leaves out what its user does not know; nobody else does. */
export interface ExpectedQuote {
  extraData: Uint8Array;
  selection: PcrSelection;
  /** Values derived by replay. Without them, only the digest is returned and what it means is left open. */
  pcrValues?: PcrValues;
}

/** What a quote that passed every check says. */
export interface QuoteFacts {
  clock: bigint;
  resetCount: number;
  restartCount: number;
  safe: boolean;
  firmwareVersion: bigint;
  pcrDigest: Uint8Array;
  /** Hash of the PCR digest: that of the signing scheme. */
  digestHash: SigningScheme['hash'];
  selection: PcrSelection;
  extraData: Uint8Array;
}

/** What the checks pass on to one another. */
interface QuoteState {
  input: Omit<QuoteInput, 'expected'> & { expected: Partial<ExpectedQuote> };
  signature?: TpmSignature;
  scheme?: SigningScheme;
  quote?: QuoteAttest;
}

export type QuoteCheckName =
  | 'key'
  | 'scheme'
  | 'signature'
  | 'structure'
  | 'nonce'
  | 'signer'
  | 'selection'
  | 'pcr-digest';

interface QuoteCheck {
  name: QuoteCheckName;
  /** What holds once it has passed. */
  meaning: string;
  /** What an earlier check must have left behind. */
  needs?: 'signature' | 'quote';
  /** `false` when the caller gave nothing to compare with. */
  run(state: QuoteState): unknown;
}

/** Every check of a quote, in order; verifyQuote and explainQuote both run these. */
const quoteChecks: readonly QuoteCheck[] = [
  {
    name: 'key',
    meaning: 'the key is restricted to what its chip made, signs only, and never leaves the chip',
    run: ({ input }) => checkQuotingKey(input.ak),
  },
  {
    name: 'scheme',
    meaning: 'the signature uses the algorithm and hash that are fixed in the key',
    run(state) {
      state.signature = parseSignature(state.input.signature);
      state.scheme = checkSignatureScheme(state.signature, state.input.ak);
    },
  },
  {
    name: 'signature',
    meaning: 'the key signed exactly these bytes',
    needs: 'signature',
    run: ({ input, signature }) => checkSignature(input.attest, known(signature), input.ak),
  },
  {
    name: 'structure',
    meaning: 'the bytes are one quote made by a TPM, and nothing more',
    run(state) {
      state.quote = parseQuote(state.input.attest);
    },
  },
  {
    name: 'nonce',
    meaning: 'the quote answers this challenge',
    needs: 'quote',
    run({ input: { expected }, quote }) {
      return expected.extraData ? checkExtraData(known(quote).extraData, expected.extraData) : false;
    },
  },
  {
    name: 'signer',
    meaning:
      'the key is a primary of the endorsement hierarchy, so counters and firmware version are in clear',
    needs: 'quote',
    run: ({ input, quote }) => checkQualifiedSigner(known(quote).qualifiedSigner, input.ak),
  },
  {
    name: 'selection',
    meaning: 'the quote covers exactly the PCRs that were asked for',
    needs: 'quote',
    run({ input: { expected }, quote }) {
      return expected.selection ? checkSelection(known(quote).selections, expected.selection) : false;
    },
  },
  {
    name: 'pcr-digest',
    meaning: 'the PCRs hold these values',
    needs: 'quote',
    run({ input, quote, scheme }) {
      const { selection, pcrValues } = input.expected;
      if (!selection || !pcrValues) return false;
      return checkPcrDigest(known(quote).pcrDigest, known(scheme), selection, pcrValues);
    },
  },
];

/**
 * Verifies a quote by every check of docs/attestation.md, in that order, and refuses at the first that fails.
 * Does NOT establish: that the key lives in a chip (activation), that clock and counters follow the last ones (compareClocks), what
 * the PCR values mean (measurement), or, without `pcrValues`, which values they are.
 */
export function verifyQuote(input: QuoteInput): QuoteFacts {
  const state: QuoteState = { input };
  for (const check of quoteChecks) check.run(state);
  const quote = known(state.quote);
  checkDigestSize(quote, known(state.scheme));
  return {
    clock: quote.clock,
    resetCount: quote.resetCount,
    restartCount: quote.restartCount,
    safe: quote.safe,
    firmwareVersion: quote.firmwareVersion,
    pcrDigest: quote.pcrDigest,
    digestHash: known(state.scheme).hash,
    selection: input.expected.selection,
    extraData: quote.extraData,
  };
}

export interface ExplainedCheck {
  check: QuoteCheckName;
  result: 'passed' | 'failed' | 'not checked';
  message: string;
}

/** Runs the same checks for people: all of them, saying of each what came out. What rests on a failed one is not checked. */
export function explainQuote(input: QuoteState['input']): ExplainedCheck[] {
  const state: QuoteState = { input };
  return quoteChecks.map((check) => explainOne(check, state));
}

function explainOne({ name, meaning, needs, run }: QuoteCheck, state: QuoteState): ExplainedCheck {
  if (needs && !state[needs])
    return { check: name, result: 'not checked', message: 'it rests on a check that failed' };
  try {
    if (run(state) !== false) return { check: name, result: 'passed', message: meaning };
    return { check: name, result: 'not checked', message: 'nothing was given to compare with' };
  } catch (error) {
    if (!(error instanceof TouchmarkError)) throw error;
    return { check: name, result: 'failed', message: error.message };
  }
}

function checkDigestSize(quote: QuoteAttest, scheme: SigningScheme): void {
  if (quote.pcrDigest.length === hashByName(scheme.hash).size) return;
  const message = `the PCR digest in the quote has ${quote.pcrDigest.length} bytes, which ${scheme.hash} does not give`;
  throw new TouchmarkError('quote_pcr_digest', message);
}

function known<T>(value: T | undefined): T {
  if (value !== undefined) return value;
  throw new Error('a check of quotes ran before the one that it rests on');
}
