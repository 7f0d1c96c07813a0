import { memory } from '../../../native/library.js';
import { ESYS_TR_NONE, ESYS_TR_PASSWORD } from '../../../native/tss2-esys.js';
import { unmarshal } from '../../../native/tss2-mu.js';
import { attestationKeyTemplate } from '../../tpm/attestation-key.js';
import { serialiseSelections } from '../../tpm/pcr.js';
import { serialisePublic } from '../../tpm/public.js';
import { type Reader, readerOf } from '../../tpm/reader.js';
import { sized, u16 } from '../../tpm/writer.js';
import type { PcrSelection, Quote } from '../tpm.js';
import { type LoadedPrimary, loadPrimary, type PrimaryMaker } from './primary.js';
import type { TpmScope } from './scope.js';

/** TPMT_SIG_SCHEME that leaves the choice to the key, which has only one. */
const SCHEME_OF_KEY = u16(0x10);
/** One TPM2_PCR_Read answers with at most 8 values. */
const MAX_READS = 24;

export function loadAttestationKey(
  scope: TpmScope,
  maker: PrimaryMaker,
  unique: Uint8Array,
): Promise<LoadedPrimary> {
  return loadPrimary(scope, maker, serialisePublic(attestationKeyTemplate(unique)));
}

export async function makeQuote(
  scope: TpmScope,
  key: LoadedPrimary,
  qualifyingData: Uint8Array,
  selection: PcrSelection,
): Promise<Quote> {
  const none = ESYS_TR_NONE;
  const [quoted, signature] = [scope.output(), scope.output()];
  await scope.call(
    'Esys_Quote',
    ...([key.slot.handle, ESYS_TR_PASSWORD, none, none] as const),
    unmarshal('TPM2B_DATA', sized(qualifyingData)),
    unmarshal('TPMT_SIG_SCHEME', SCHEME_OF_KEY),
    unmarshal('TPML_PCR_SELECTION', serialiseSelections([selection])),
    ...([quoted, signature] as const),
  );
  return {
    attest: scope.read('TPM2B_ATTEST', quoted).slice(2),
    signature: scope.read('TPMT_SIGNATURE', signature),
  };
}

export async function readPcrs(scope: TpmScope, selection: PcrSelection): Promise<Map<number, Uint8Array>> {
  const values = new Map<number, Uint8Array>();
  let left = [...new Set(selection.pcrs)].sort((a, b) => a - b);
  for (let round = 0; round < MAX_READS && left.length > 0; round += 1) {
    const some = await readSomePcrs(scope, { bank: selection.bank, pcrs: left });
    if (some.size === 0) break;
    for (const [pcr, value] of some) values.set(pcr, value);
    left = left.filter((pcr) => !values.has(pcr));
  }
  return values;
}

/** As many as the chip gives at once; none when the bank is not allocated. */
async function readSomePcrs(scope: TpmScope, selection: PcrSelection): Promise<Map<number, Uint8Array>> {
  const none = ESYS_TR_NONE;
  const [read, digests] = [scope.output(), scope.output()];
  const wanted = unmarshal('TPML_PCR_SELECTION', serialiseSelections([selection]));
  await scope.call('Esys_PCR_Read', none, none, none, wanted, memory(4), read, digests);
  const answered = selectedPcrs(readerOf(scope.read('TPML_PCR_SELECTION', read), 'TPML_PCR_SELECTION'));
  const list = readerOf(scope.read('TPML_DIGEST', digests), 'TPML_DIGEST');
  const count = list.u32();
  if (count !== answered.length) throw new TypeError(`the TPM read ${count} of ${answered.length} PCRs`);
  return new Map(answered.map((pcr) => [pcr, list.sized(64)]));
}

/** The chip answers with the one bank that was asked for, or with none. */
function selectedPcrs(list: Reader): number[] {
  if (list.u32() === 0) return [];
  list.u16();
  const bitmap = list.bytes(list.u8());
  const pcrs: number[] = [];
  for (const [at, byte] of bitmap.entries()) {
    for (let bit = 0; bit < 8; bit += 1) if ((byte >> bit) & 1) pcrs.push(at * 8 + bit);
  }
  return pcrs;
}
