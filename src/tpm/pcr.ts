import { TouchmarkError } from '../errors.js';
import { digest, type HashName, hashById, hashByName } from './algorithms.js';
import { atMost, type Reader } from './reader.js';
import { join, u8, u16, u32 } from './writer.js';

/** One bank of a TPML_PCR_SELECTION; `pcrs` ascending, without repetition. */
export interface PcrSelection {
  bank: HashName;
  pcrs: readonly number[];
}

/** Values by PCR index, of one bank. */
export type PcrValues = ReadonlyMap<number, Uint8Array>;

/** How many PCRs a PC Client platform has. */
export const PCR_COUNT = 24;
const MAX_BANKS = 4;

/**
 * Reads a TPML_PCR_SELECTION. The bitmap is little-endian by byte; every bank at most once, in the order in which they are written.
 * A bank with a hash that is not understood is refused: what a quote covers must be known whole.
 */
export function readSelections(reader: Reader): PcrSelection[] {
  const count = atMost(reader.u32(), MAX_BANKS, 'TPML_PCR_SELECTION');
  const seen = new Set<HashName>();
  return Array.from({ length: count }, () => {
    const bank = hashById(reader.u16()).name;
    const bitmap = reader.bytes(atMost(reader.u8(), PCR_COUNT / 8, 'TPMS_PCR_SELECTION'));
    const pcrs = pcrsOf(bitmap);
    if (seen.has(bank))
      throw new TouchmarkError('tpm_structure_invalid', `TPML_PCR_SELECTION names the bank ${bank} twice`);
    seen.add(bank);
    return { bank, pcrs };
  });
}

/** Writes a TPML_PCR_SELECTION with bitmaps of three bytes, as chips do. */
export function serialiseSelections(selections: readonly PcrSelection[]): Uint8Array {
  const banks = selections.map(({ bank, pcrs }) => {
    const bitmap = new Uint8Array(PCR_COUNT / 8);
    for (const pcr of pcrs) {
      const at = checkPcr(pcr) >> 3;
      bitmap[at] = (bitmap[at] ?? 0) | (1 << (pcr & 7));
    }
    return join(u16(hashByName(bank).id), u8(bitmap.length), bitmap);
  });
  return join(u32(banks.length), ...banks);
}

/**
 * The digest that a quote holds: H over the values in ascending order. `hash` is that of the signing scheme, not of the bank.
 * A PCR without a value is an error, never a zero.
 */
export function pcrDigest(hash: HashName, selection: PcrSelection, values: PcrValues): Uint8Array {
  const size = hashByName(selection.bank).size;
  const parts = ascending(selection.pcrs).map((pcr) => {
    const value = values.get(pcr);
    if (value?.length === size) return value;
    const problem = value ? `has ${value.length} bytes instead of ${size}` : 'is missing';
    const message = `the value of PCR ${pcr} in bank ${selection.bank} ${problem}`;
    throw new TouchmarkError('pcr_values_invalid', message);
  });
  return digest(hash, ...parts);
}

/** Registers are no secret, and for so few bytes a loop is faster than a call into the runtime. */
export function sameValue(a: Uint8Array, b: Uint8Array | undefined): boolean {
  if (a.length !== b?.length) return false;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}

/** `sha256:0,1,7`, as operators write it. */
export function describeSelection(selections: readonly PcrSelection[]): string {
  if (selections.length === 0) return 'nothing';
  return selections
    .map(({ bank, pcrs }) => `${bank}:${pcrs.length === 0 ? 'none' : pcrs.join(',')}`)
    .join('+');
}

/** @throws TouchmarkError `pcr_selection_invalid` */
export function checkPcr(pcr: number): number {
  if (Number.isInteger(pcr) && pcr >= 0 && pcr < PCR_COUNT) return pcr;
  throw new TouchmarkError(
    'pcr_selection_invalid',
    `PCR ${pcr} does not exist, there are 0 to ${PCR_COUNT - 1}`,
  );
}

function pcrsOf(bitmap: Uint8Array): number[] {
  const pcrs: number[] = [];
  for (let pcr = 0; pcr < bitmap.length * 8; pcr++) {
    if (((bitmap[pcr >> 3] ?? 0) & (1 << (pcr & 7))) !== 0) pcrs.push(pcr);
  }
  return pcrs;
}

/** As a TPM orders them; the same array where they are so already. */
export function ascending(pcrs: readonly number[]): readonly number[] {
  const inOrder = pcrs.every((pcr, at) => at === 0 || pcr > (pcrs[at - 1] ?? 0));
  return inOrder ? pcrs : [...pcrs].sort((a, b) => a - b);
}
