import { hasDigest, joinPieces, type MeasuredPiece } from './measured-piece.js';
import type { AppraisalState } from './state.js';

/** Pieces up to this many digests are joined with their neighbours. */
const MAX_JOINED = 4096;
const wanted = /^(verity:)?sha256:([0-9a-f]{64})$/;

/**
 * Whether the kernel measured a file of this digest (`sha256:<hex>`, `verity:sha256:<hex>`) in this boot, as far as quotes
 * vouch for the list. Violations, buffers and templates that are not understood never count. It does not say that the
 * policy accepts the file, nor which process runs it.
 */
export function isMeasured(state: AppraisalState, digest: string): boolean {
  const match = wanted.exec(digest);
  if (!match) return false;
  const of = match[1] === undefined ? 'file' : 'verity';
  const bytes = Buffer.from(match[2] ?? '', 'hex');
  return state.ima.measured.some((piece) => hasDigest(piece, of, bytes));
}

/** More pieces behind those that older states share; small ones are joined into new ones. */
export function withPieces(
  pieces: readonly MeasuredPiece[],
  more: readonly MeasuredPiece[],
): readonly MeasuredPiece[] {
  if (more.length === 0) return pieces;
  const kept = [...pieces];
  for (const piece of more) {
    let added = piece;
    for (let last = kept.at(-1); last; last = kept.at(-1)) {
      const [before, now] = [last.heads.length, added.heads.length];
      if (before > 2 * now || before + now > MAX_JOINED) break;
      kept.pop();
      added = joinPieces(last, added);
    }
    kept.push(added);
  }
  return kept;
}
