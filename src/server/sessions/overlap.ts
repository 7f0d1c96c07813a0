/**
 * Two live sessions of one node, told apart from a reconnection. Pure.
 *
 * The key of a node SVID lives in the memory of one agent, which closes its stream before it opens another. When the
 * network broke, the server may still hold the old stream open; so a newer stream with the same SVID simply takes its
 * place, and what is left of the old one falls silent. Bytes that were under way still arrive, in one burst. Only an older
 * stream that goes on talking - two messages, half a heartbeat interval or more apart, both after the newer one's hello,
 * while the newer one is open - shows that two agents hold one key.
 */
import { sessionTimes } from './contract.js';

export interface Overlap {
  /** Unix milliseconds at which the newer stream said hello. */
  readonly since: number;
  /** The first message on the older stream after that, or 0. */
  readonly firstHeardAt: number;
}

export function overlapFrom(now: number): Overlap {
  return { since: now, firstHeardAt: 0 };
}

/** A message came on the older stream. */
export function overlapHeard(overlap: Overlap, now: number): { overlap: Overlap; proved: boolean } {
  if (overlap.firstHeardAt === 0) return { overlap: { ...overlap, firstHeardAt: now }, proved: false };
  return { overlap, proved: now - overlap.firstHeardAt >= sessionTimes.heartbeatMs / 2 };
}
