import type { PcrSelection, Quote, TpmDevice } from '../../host/tpm.js';
import { parseQuote } from '../../tpm/attest.js';
import { type PcrValues, pcrDigest } from '../../tpm/pcr.js';

export interface QuoteRequest {
  readonly unique: Uint8Array;
  readonly extraData: Uint8Array;
  readonly selection: PcrSelection;
}

export interface QuoteWithValues {
  readonly quote: Quote;
  /** By index, of the registers that did not move while they were quoted; none when all are known. */
  readonly values: PcrValues;
}

const ATTEMPTS = 3;
const none = new Uint8Array();

/**
 * A quote together with the values that it is over. A register may be extended between the two commands (IMA does so with every
 * new file), so both are taken again. What is read after one quote is read before the next: at the last attempt, a register that
 * reads the same on both sides was quoted with that value, and only those that moved are left for the server to find.
 * @param known digest of a quote of the same registers whose values are held: they are not read again while it is the same
 */
export async function quoteWithValues(
  tpm: TpmDevice,
  { unique, extraData, selection }: QuoteRequest,
  known: Uint8Array = new Uint8Array(),
): Promise<QuoteWithValues> {
  let before: PcrValues = new Map();
  for (let attempt = 1; ; attempt++) {
    const quote = await tpm.quote(unique, extraData, selection);
    const { pcrDigest: quoted } = parseQuote(quote.attest);
    if (Buffer.compare(quoted, known) === 0) return { quote, values: new Map() };
    const after = await tpm.pcrRead(selection);
    // The attestation key signs with SHA-256, which therefore also hashes the registers.
    if (Buffer.compare(quoted, pcrDigest('sha256', selection, after)) === 0) return { quote, values: after };
    if (attempt === ATTEMPTS) return { quote, values: common(before, after) };
    before = after;
  }
}

function common(before: PcrValues, after: PcrValues): PcrValues {
  return new Map([...after].filter(([pcr, value]) => Buffer.compare(value, before.get(pcr) ?? none) === 0));
}

/** As they travel: in ascending order. */
export function orderedValues(values: PcrValues) {
  return [...values].sort(([a], [b]) => a - b).map(([index, value]) => ({ index, value }));
}
