import type { ImaFileDigest } from '../ima/ima-template.js';
import { latin1 } from './digest-text.js';
import type { AppraisalState } from './state.js';

/** Pieces up to this size are joined with their neighbours. */
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
  const key = keyOf(match[1] !== undefined, Buffer.from(match[2] ?? '', 'hex'));
  return state.ima.measured.some((piece) => piece.has(key));
}

/** Empty for what cannot be asked for. */
export function measuredKey({ of, algorithm, digest }: ImaFileDigest): string {
  return algorithm === 'sha256' ? keyOf(of === 'verity', digest) : '';
}

/** Short texts, since a list has a hundred thousand of them. */
function keyOf(verity: boolean, digest: Uint8Array): string {
  return (verity ? 'v' : 'f') + latin1(digest);
}

/** One more piece, behind those that older states share; small ones are joined into new ones. */
export function withPiece(
  pieces: readonly ReadonlySet<string>[],
  piece: ReadonlySet<string>,
): readonly ReadonlySet<string>[] {
  if (piece.size === 0) return pieces;
  const kept = [...pieces];
  let added = piece;
  for (let last = kept.at(-1); last; last = kept.at(-1)) {
    if (last.size > 2 * added.size || last.size + added.size > MAX_JOINED) break;
    kept.pop();
    added = new Set([...last, ...added]);
  }
  return [...kept, added];
}
