/** `binary:measured:true`: no signature for a binary that the kernel did not measure in this boot. */
import { TouchmarkError } from '../../errors.js';
import { type Entry, measuredDigests } from '../../spiffe/entry.js';
import type { Measurements } from '../measurements/contract.js';
import type { Node } from '../model.js';

export type MeasuredDeps = Pick<Measurements, 'isMeasured' | 'freshEvidence'>;

/** A program that was just started is in the host's list before it is in ours: so long is waited for the next quote. */
export const FRESH_EVIDENCE_MS = 5_000;

/**
 * Asks the host for evidence, once for all, if any of these entries names a binary that is not in the list yet. Decides
 * nothing: whether it then is there, `checkMeasured` says.
 */
export async function awaitMeasured(
  measurements: MeasuredDeps,
  node: Node,
  entries: Iterable<Entry | undefined>,
): Promise<void> {
  const { hostId } = node;
  if (hostId === undefined) return;
  for (const entry of entries) {
    if (entry === undefined || missing(measurements, hostId, entry) === undefined) continue;
    await measurements.freshEvidence(hostId, FRESH_EVIDENCE_MS);
    return;
  }
}

/**
 * Compares with our own copy of the list, as far as quotes of this boot vouch for it. It establishes that the kernel
 * measured this binary on this host since it booted; not which process holds the key, nor that it still runs: on a host
 * whose root is hostile another process may ask in its place.
 * @throws TouchmarkError `binary_not_measured`
 */
export function checkMeasured(measurements: MeasuredDeps, node: Node, entry: Entry): void {
  const { hostId } = node;
  const digests = measuredDigests(entry);
  if (digests.length === 0) return;
  if (hostId === undefined) {
    const message = `entry ${entry.id} asks for a measured binary, and node ${node.id} has no TPM that vouches for one`;
    throw new TouchmarkError('binary_not_measured', message);
  }
  const absent = missing(measurements, hostId, entry);
  if (absent === undefined) return;
  const message = `the binary ${absent} is not in the list that the quotes of host ${hostId} vouch for`;
  throw new TouchmarkError('binary_not_measured', message);
}

function missing(measurements: MeasuredDeps, hostId: string, entry: Entry): string | undefined {
  return measuredDigests(entry).find((digest) => !measurements.isMeasured(hostId, digest));
}
