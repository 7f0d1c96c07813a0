import type { LogWish, SentLogPart } from '../../attest/logs.js';
import type { LogSnapshot, Measurements } from '../../host/measurements/contract.js';

/** The logs of this host, for attestations and ticks alike. */
export type Measurer = Pick<Measurements, 'imaCount' | 'snapshot'>;

/** Log bytes that travel beside a quote: the rest is asked for, so that no message is large. */
export const INLINE_BYTES = 192 * 1024;

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
