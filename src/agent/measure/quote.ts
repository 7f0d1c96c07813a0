import type { PcrSelection, Quote, TpmDevice } from '../../host/tpm.js';
import { parseQuote } from '../../tpm/attest.js';
import { pcrDigest } from '../../tpm/pcr.js';

export interface QuoteRequest {
  readonly unique: Uint8Array;
  readonly extraData: Uint8Array;
  readonly selection: PcrSelection;
}

export interface QuoteWithValues {
  readonly quote: Quote;
  /** The values that it is over, by index; absent when registers moved at every attempt, or when they are known. */
  readonly values?: ReadonlyMap<number, Uint8Array>;
  readonly pcrDigest: Uint8Array;
}

const ATTEMPTS = 3;

/**
 * A quote together with the values that it is over. A register may be extended between the two commands (IMA does so with every
 * new file), so both are taken again; after that the quote goes alone, for the server refuses values that do not fit.
 * @param known digest of a quote over the same registers whose values are held: they are not read again while it is the same
 */
export async function quoteWithValues(
  tpm: TpmDevice,
  { unique, extraData, selection }: QuoteRequest,
  known: Uint8Array = new Uint8Array(),
): Promise<QuoteWithValues> {
  for (let attempt = 1; ; attempt++) {
    const quote = await tpm.quote(unique, extraData, selection);
    const quoted = parseQuote(quote.attest).pcrDigest;
    const taken = { quote, pcrDigest: quoted };
    if (Buffer.compare(quoted, known) === 0) return taken;
    const values = await tpm.pcrRead(selection);
    // The attestation key signs with SHA-256, which therefore also hashes the registers.
    if (Buffer.compare(quoted, pcrDigest('sha256', selection, values)) === 0) return { ...taken, values };
    if (attempt === ATTEMPTS) return taken;
  }
}

/** As they travel: in ascending order. */
export function orderedValues(values: ReadonlyMap<number, Uint8Array> = new Map()) {
  return [...values].sort(([a], [b]) => a - b).map(([index, value]) => ({ index, value }));
}
