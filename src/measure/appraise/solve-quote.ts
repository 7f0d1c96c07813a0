import { hash } from 'node:crypto';
import { hashByName } from '../../tpm/algorithms.js';
import { ascending, type PcrValues } from '../../tpm/pcr.js';
import type { QuoteFacts } from '../../tpm/quote.js';
import { startValue } from '../banks.js';
import { IMA_PCR } from '../ima/ima-replay.js';
import { latin1 } from './digest-text.js';
import { walkIma } from './ima-walk.js';
import type { BootFacts, ImaFacts } from './state.js';
import type { UserspacePart } from './userspace-part.js';

/** Digests that are tried at most: half a second. */
const MAX_TRIES = 400_000;

export interface LogsToTry {
  readonly boot: BootFacts;
  readonly userspace: UserspacePart;
  readonly ima: { readonly before: ImaFacts; readonly bytes: Uint8Array };
}

/**
 * The values of the quoted registers, found where only the digest over all of them is known: some prefix of the userspace
 * log, the newest first, with some prefix of the IMA list, the shortest first. A hint takes the place of what the logs give for
 * its register; hints that lead to nothing are left aside. Undefined when nothing gives the digest.
 */
export function solveQuote(
  quote: QuoteFacts,
  logs: LogsToTry,
  hints: PcrValues = new Map(),
): PcrValues | undefined {
  const { bank } = quote.selection;
  const pcrs = ascending(quote.selection.pcrs);
  const { size } = hashByName(bank);
  const wanted = latin1(quote.pcrDigest);
  const at = pcrs.indexOf(IMA_PCR) * size;
  const lists = at < 0 ? [''] : imaValues(logs, bank);
  let tries = 0;
  for (const { known, registers } of ways(logs, hints)) {
    const values = pcrs.map(
      (pcr) => known.get(pcr) ?? registers.get(pcr) ?? logs.boot.pcrs.get(pcr) ?? startValue(bank, pcr),
    );
    const joined = Buffer.concat(values);
    const ima = known.get(IMA_PCR);
    for (const value of ima ? [latin1(ima)] : lists) {
      if (tries++ >= MAX_TRIES) return undefined;
      if (at >= 0) joined.write(value, at, 'latin1');
      if (hash(quote.digestHash, joined, 'binary') === wanted) return split(joined, pcrs, size);
    }
  }
  return undefined;
}

/** With the hints, then without any; each with every prefix of the userspace log. */
function* ways({ userspace }: LogsToTry, hints: PcrValues) {
  const none: PcrValues = new Map();
  const prefixes = [...userspace.prefixes].reverse();
  for (const known of hints.size > 0 ? [hints, none] : [none]) {
    for (const { registers } of prefixes) yield { known, registers };
  }
}

/** PCR 10 before the new entries and after each that extends it. */
function imaValues({ ima }: LogsToTry, bank: QuoteFacts['selection']['bank']): string[] {
  const values = [latin1(ima.before.value)];
  walkIma(ima.bytes, ima.before, bank, ({ pcr }, value) => {
    if (pcr === IMA_PCR) values.push(value);
    return false;
  });
  return values;
}

function split(joined: Buffer, pcrs: readonly number[], size: number): PcrValues {
  const at = (index: number) => new Uint8Array(joined.subarray(index * size, (index + 1) * size));
  return new Map(pcrs.map((pcr, index) => [pcr, at(index)]));
}
