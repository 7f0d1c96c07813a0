import type { LogWish, SentLogPart } from '../../attest/logs.js';
import type { LogSnapshot, Measurements } from '../../host/measurements/contract.js';

/** What is done with the logs of this host, by attestations and ticks alike. */
export interface Measurer {
  /** Entries of the kernel's list now; undefined where it keeps none. */
  imaCount(): Promise<number | undefined>;
  /** Entries that the evidence taken last covers for certain; undefined before the first. */
  readonly covered: number | undefined;
  /** To be called before a quote: what the list has now is in every list that is read after it. */
  beforeQuote(): Promise<void>;
  /** To be called after the quote. */
  snapshot(): LogSnapshot;
}

/** Log bytes that travel beside a quote: the rest is asked for, so that no message is large. */
export const INLINE_BYTES = 192 * 1024;

export function createMeasurer(measurements: Measurements): Measurer {
  let covered: number | undefined;
  return {
    imaCount: () => measurements.imaCount(),
    get covered() {
      return covered;
    },
    async beforeQuote() {
      covered = await measurements.imaCount();
    },
    snapshot: () => measurements.snapshot(),
  };
}

/** Of each log what is wanted, as far as it fits beside a quote. */
export async function inlineParts(snapshot: LogSnapshot, wishes: readonly LogWish[]): Promise<SentLogPart[]> {
  const parts: SentLogPart[] = [];
  let room = INLINE_BYTES;
  for (const wish of wishes) {
    // Never 0, which would mean "as much as there is": one byte tells how many follow.
    const most = Math.max(1, room);
    const maxBytes = wish.maxBytes === 0 ? most : Math.min(wish.maxBytes, most);
    const part = await snapshot.read({ ...wish, maxBytes });
    room -= part.data.length;
    parts.push(part);
  }
  return parts;
}
