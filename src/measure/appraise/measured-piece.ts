import type { ImaFileDigest } from '../ima/ima-template.js';

/**
 * A set of SHA-256 digests in two flat arrays: a list has a hundred thousand of them, a fleet ten thousand lists. Sorted by
 * the first four bytes; a host that chooses digests with the same ones makes its own search slow, by a millisecond at most.
 */
export interface MeasuredPiece {
  /** First four bytes of each digest, ascending. */
  readonly heads: Uint32Array;
  /** In the same order, each as its kind and 32 bytes. */
  readonly rows: Uint8Array;
}

const ROW = 33;
const kinds = { file: 0, verity: 1 } as const;
/** Entries that one piece can have: a head and a place in one exact number. */
const MAX_PLACES = 2 ** 20;

export interface PieceBuilder {
  /** Digests of other algorithms are left out: nobody can ask for them. */
  add(digest: ImaFileDigest): void;
  /** In the order in which they came, in pieces that can be searched. */
  done(): MeasuredPiece[];
}

export function pieceBuilder(): PieceBuilder {
  let rows = Buffer.alloc(0);
  let count = 0;
  return {
    add: ({ algorithm, digest, of }) => {
      if (algorithm !== 'sha256' || digest.length !== ROW - 1) return;
      if (count * ROW === rows.length) rows = Buffer.concat([rows], Math.max(ROW * 16, rows.length * 2));
      rows[count * ROW] = kinds[of];
      rows.set(digest, count * ROW + 1);
      count++;
    },
    done: () => {
      const pieces: MeasuredPiece[] = [];
      for (let at = 0; at < count; at += MAX_PLACES) {
        pieces.push(sorted(rows.subarray(at * ROW, Math.min(count, at + MAX_PLACES) * ROW)));
      }
      return pieces;
    },
  };
}

export function joinPieces(a: MeasuredPiece, b: MeasuredPiece): MeasuredPiece {
  return sorted(Buffer.concat([a.rows, b.rows]));
}

export function hasDigest({ heads, rows }: MeasuredPiece, of: ImaFileDigest['of'], digest: Buffer): boolean {
  const head = digest.readUInt32BE(0);
  for (let at = firstPlace(heads, head); at < heads.length && heads[at] === head; at++) {
    const same = rows[at * ROW] === kinds[of];
    if (same && Buffer.compare(rows.subarray(at * ROW + 1, (at + 1) * ROW), digest) === 0) return true;
  }
  return false;
}

function sorted(rows: Buffer): MeasuredPiece {
  const count = rows.length / ROW;
  // Numbers sort many times faster than rows: the head, and behind it the place.
  const order = new Float64Array(count);
  for (let at = 0; at < count; at++) order[at] = rows.readUInt32BE(at * ROW + 1) * MAX_PLACES + at;
  order.sort();
  const heads = new Uint32Array(count);
  const out = new Uint8Array(rows.length);
  for (let to = 0; to < count; to++) {
    const from = (order[to] ?? 0) % MAX_PLACES;
    heads[to] = Math.floor((order[to] ?? 0) / MAX_PLACES);
    out.set(rows.subarray(from * ROW, (from + 1) * ROW), to * ROW);
  }
  return { heads, rows: out };
}

function firstPlace(heads: Uint32Array, head: number): number {
  let [low, high] = [0, heads.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((heads[middle] ?? 0) < head) low = middle + 1;
    else high = middle;
  }
  return low;
}
