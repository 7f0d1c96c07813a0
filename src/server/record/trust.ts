/** Which checkpoints of a log a bundle vouches for, and how far. Pure. */
import type { KeyObject } from 'node:crypto';
import { TouchmarkError } from '../../errors.js';
import { type SignedCheckpoint, verifyCheckpoint } from './checkpoint.js';
import type { ChainHead } from './model.js';
import { located, type Place } from './walk.js';

/** A JWT authority that a line of the log publishes. */
export interface Introduced {
  readonly keyId: string;
  readonly seq: number;
  readonly key: KeyObject;
}

/** What a line of the log says of the removal of older ones. */
export interface Pruned extends ChainHead {
  readonly line: number;
}

export interface TrustInput {
  readonly keys: ReadonlyMap<string, KeyObject>;
  readonly checkpoints: readonly { readonly checkpoint: SignedCheckpoint; readonly place: Place }[];
  readonly introduced: readonly Introduced[];
  readonly pruned: readonly Pruned[];
  readonly root?: SignedCheckpoint;
}

export interface Trust {
  readonly verified: number;
  readonly covered: number;
  readonly problem?: TouchmarkError;
}

/**
 * Authorities live for a day, a log for years: so a checkpoint that a key of the bundle signed vouches for all lines before it,
 * and thereby for the keys that they publish, which may have signed later checkpoints. Checkpoints of unknown keys count
 * neither for nor against it. The chain has been walked already.
 */
export function settleTrust(input: TrustInput): Trust {
  const keys = new Map(input.keys);
  const state = { covered: 0, verified: new Set<SignedCheckpoint>() };
  try {
    while (takeRound(input, keys, state));
    const { covered, verified } = state;
    const problem = rootProblem(input, keys, covered) ?? unsigned(input, covered);
    return { covered, verified: verified.size, ...(problem === undefined ? {} : { problem }) };
  } catch (error) {
    if (!(error instanceof TouchmarkError)) throw error;
    return { covered: state.covered, verified: state.verified.size, problem: error };
  }
}

/** One pass over all checkpoints with the keys so far; true when it brought further keys. */
function takeRound(
  { checkpoints, introduced }: TrustInput,
  keys: Map<string, KeyObject>,
  state: { covered: number; verified: Set<SignedCheckpoint> },
): boolean {
  for (const { checkpoint, place } of checkpoints) {
    const key = keys.get(checkpoint.keyId);
    if (key === undefined || state.verified.has(checkpoint)) continue;
    located(place, () => verifyCheckpoint(checkpoint, key));
    state.verified.add(checkpoint);
    state.covered = Math.max(state.covered, checkpoint.seq);
  }
  const before = keys.size;
  for (const { keyId, seq, key } of introduced) {
    if (seq <= state.covered && !keys.has(keyId)) keys.set(keyId, key);
  }
  return keys.size > before;
}

/** Its signature, or a line of the log that tells of the removal, must vouch for where the log now begins. */
function rootProblem(
  { root, pruned }: TrustInput,
  keys: ReadonlyMap<string, KeyObject>,
  covered: number,
): TouchmarkError | undefined {
  if (root === undefined) return undefined;
  const key = keys.get(root.keyId);
  if (key !== undefined) verifyCheckpoint(root, key);
  const told = pruned.some(
    ({ seq, hash, line }) => line <= covered && seq === root.seq && hash === root.hash,
  );
  if (key !== undefined || told) return undefined;
  return new TouchmarkError(
    'record_checkpoint_invalid',
    `nothing vouches for line ${root.seq}, after which the record begins`,
  );
}

function unsigned({ checkpoints }: TrustInput, covered: number): TouchmarkError | undefined {
  if (covered > 0) return undefined;
  const message = `none of the ${checkpoints.length} checkpoints is signed by a key of the bundle; a copy is verified with the bundle of its own time`;
  return new TouchmarkError('record_unsigned', message);
}
