import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { isMeasured, withPieces } from '../../../src/measure/appraise/is-measured.js';
import { hasDigest, type MeasuredPiece, pieceBuilder } from '../../../src/measure/appraise/measured-piece.js';
import type { AppraisalState } from '../../../src/measure/appraise/state.js';

const digest = (n: number) => createHash('sha256').update(String(n)).digest();
/** Digests that differ in their last bytes only, as a host could choose them to be slow. */
const twin = (n: number) => {
  const bytes = Buffer.alloc(32, 7);
  bytes.writeUInt32BE(n, 28);
  return bytes;
};

function pieceOf(digests: readonly Buffer[], of: 'file' | 'verity' = 'file'): MeasuredPiece {
  const builder = pieceBuilder();
  for (const one of digests) builder.add({ algorithm: 'sha256', digest: one, of });
  const [piece, ...more] = builder.done();
  assert.equal(more.length, 0);
  return piece ?? assert.fail('nothing was added');
}

const stateOf = (measured: readonly MeasuredPiece[]) => ({ ima: { measured } }) as unknown as AppraisalState;
const named = (one: Buffer) => `sha256:${one.toString('hex')}`;

test('every digest that was added is found, and no other, also among those that begin alike', () => {
  for (const make of [digest, twin]) {
    const piece = pieceOf(Array.from({ length: 500 }, (_, n) => make(2 * n)));
    for (let n = 0; n < 1000; n += 1) assert.equal(hasDigest(piece, 'file', make(n)), n % 2 === 0, String(n));
  }
});

test('a digest of a file is none of an fs-verity tree', () => {
  const files = pieceOf([digest(1)]);
  const trees = pieceOf([digest(2)], 'verity');
  const state = stateOf([files, trees]);
  assert.deepEqual(
    [named(digest(1)), `verity:${named(digest(1))}`, named(digest(2)), `verity:${named(digest(2))}`].map(
      (one) => isMeasured(state, one),
    ),
    [true, false, false, true],
  );
});

test('what is no SHA-256 in the form of selectors was never measured, and neither was one of another algorithm', () => {
  const builder = pieceBuilder();
  builder.add({ algorithm: 'sha1', digest: digest(1).subarray(0, 20), of: 'file' });
  builder.add({ algorithm: 'sm3', digest: digest(1), of: 'file' });
  assert.deepEqual(builder.done(), []);
  const state = stateOf([pieceOf([digest(1)])]);
  const hex = digest(1).toString('hex');
  for (const text of [
    '',
    hex,
    `sha1:${hex}`,
    `sha256:${hex.toUpperCase()}`,
    `sha256:${hex}0`,
    `sha256:${hex}\n`,
  ])
    assert.equal(isMeasured(state, text), false, JSON.stringify(text));
});

test('small pieces are joined and large ones shared, and nothing is lost on the way', () => {
  let pieces: readonly MeasuredPiece[] = [];
  for (let n = 0; n < 3000; n += 1) {
    const before = pieces;
    const copy = [...before];
    pieces = withPieces(pieces, [pieceOf([digest(n)])]);
    assert.deepEqual(before, copy, 'older states keep theirs');
  }
  assert.ok(pieces.length < 20, `${pieces.length} pieces`);
  for (let n = 0; n < 3000; n += 1) assert.ok(isMeasured(stateOf(pieces), named(digest(n))), String(n));
  const large = pieceOf(Array.from({ length: 5000 }, (_, n) => digest(n)));
  assert.equal(withPieces([large], [pieceOf([digest(9999)])])[0], large);
  assert.equal(withPieces(pieces, []), pieces);
});
