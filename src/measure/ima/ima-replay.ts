import { hash } from 'node:crypto';
import { type HashName, hashByName } from '../../tpm/algorithms.js';
import { asBuffer } from '../as-buffer.js';
import type { ImaRecord } from './ima-record.js';

/** PCR that IMA extends unless a rule of the host says otherwise. */
export const IMA_PCR = 10;

export interface ReplayOptions {
  /** Values from which to go on, by PCR; a PCR that is not named starts at zero. */
  readonly start?: ReadonlyMap<number, Uint8Array>;
  /** Kernels before 5.8: every bank is extended with the SHA-1 template digest and zeros behind it. */
  readonly paddedSha1?: boolean;
}

/** Running values of one bank. */
export interface ImaReplay {
  extend(record: ImaRecord): void;
  /** A copy of the value now; undefined for a PCR that was neither extended nor given. */
  value(pcr: number): Uint8Array | undefined;
  /** Every PCR that was extended or given, in order. */
  values(): Map<number, Uint8Array>;
}

/**
 * Extends what the records measure. Digests are computed from the data, never taken from the list. That the values
 * are those of a machine is for a quote to say.
 */
export function imaReplay(bank: HashName, options: ReplayOptions = {}): ImaReplay {
  const { size } = hashByName(bank);
  // Each buffer holds the value and, behind it, what it is extended with.
  const running = new Map<number, Buffer>();
  for (const [pcr, value] of options.start ?? [])
    running.set(pcr, Buffer.concat([value, Buffer.alloc(size)]));
  const buffer = (pcr: number): Buffer => {
    const known = running.get(pcr);
    if (known) return known;
    const fresh = Buffer.alloc(2 * size);
    running.set(pcr, fresh);
    return fresh;
  };
  const value = (pcr: number) => {
    const known = running.get(pcr);
    return known && new Uint8Array(known.subarray(0, size));
  };
  const hashed = options.paddedSha1 === true ? 'sha1' : bank;
  const digestSize = hashByName(hashed).size;
  return {
    extend: (record) => {
      const state = buffer(record.pcr);
      if (record.violation) state.fill(0xff, size, size + digestSize);
      // Digests as text of one character per byte cost a third of what digests as buffers do.
      else state.write(hash(hashed, record.data, 'binary'), size, 'latin1');
      state.write(hash(bank, state, 'binary'), 0, 'latin1');
    },
    value,
    values: () => {
      const pcrs = [...running.keys()].sort((a, b) => a - b);
      return new Map(pcrs.map((pcr) => [pcr, value(pcr) ?? new Uint8Array(size)]));
    },
  };
}

/** Whether the list says of a record what its data hashes to; a violation says nothing. */
export function digestMatches(record: ImaRecord, listDigest: HashName = 'sha1'): boolean {
  if (record.violation) return true;
  const { templateDigest: said } = record;
  const text = asBuffer(said).toString('latin1');
  return hash(listDigest, record.data, 'binary') === text;
}

/**
 * How many records, from the first on, it takes until PCR 10 is what a quote covers: the first such number, 0 if it
 * was so before any, undefined if it never is. The list grows while the TPM quotes, so records after these are not
 * vouched for by this quote. `matches` gets a copy, and is asked only when PCR 10 has changed.
 */
export function firstMatchingPrefix(
  records: Iterable<ImaRecord>,
  matches: (pcr10: Uint8Array) => boolean,
  options: ReplayOptions & { readonly bank?: HashName } = {},
): number | undefined {
  const bank = options.bank ?? 'sha256';
  const replay = imaReplay(bank, options);
  const now = () => replay.value(IMA_PCR) ?? new Uint8Array(hashByName(bank).size);
  if (matches(now())) return 0;
  let count = 0;
  for (const record of records) {
    replay.extend(record);
    count += 1;
    if (record.pcr === IMA_PCR && matches(now())) return count;
  }
  return undefined;
}
