import { messageOf, TouchmarkError } from '../../errors.js';
import { canonicalJson, hashOf, hashOfText } from '../../measure/policy/canonical.js';
import { checkManifest, toManifest } from '../../measure/policy/check.js';
import type {
  MeasurementObject,
  MeasurementPolicy,
  ReferenceSet,
  ResolvedPolicy,
} from '../../measure/policy/model.js';
import { formatReference } from '../../measure/policy/reference.js';
import { invalid, parse } from './read-evidence.js';

/**
 * Reads `policy.json`: every object is checked as a manifest is, and the policy's id is computed from what they hold. Establishes
 * that this is the policy of that id; not that anybody should be judged by it.
 * @throws TouchmarkError `evidence_directory_invalid`
 */
export function readPolicy(bytes: Uint8Array, policyId: string): ResolvedPolicy {
  const policy = checked(parse('policy.json', bytes));
  const id = idOf(policy);
  if (id === policyId) return { ...policy, id };
  throw invalid(`policy.json is the policy ${id}, and the evidence was judged by ${policyId}`);
}

function checked(value: unknown): ResolvedPolicy {
  try {
    const { policy, references, next } = value as ResolvedPolicy;
    return {
      id: '',
      policy: objectOf<MeasurementPolicy>(policy),
      references: references.map((set) => objectOf<ReferenceSet>(set)),
      next: next.map(({ references: sets, from, until }) => ({
        references: sets.map((set) => objectOf<ReferenceSet>(set)),
        from: Number(from),
        until: Number(until),
      })),
    };
  } catch (error) {
    throw invalid(
      `policy.json cannot be read: ${error instanceof TouchmarkError ? error.message : messageOf(error)}`,
    );
  }
}

function objectOf<T extends MeasurementObject>(value: T): T {
  const object = checkManifest(toManifest(value));
  if (object.kind !== value.kind) throw invalid(`policy.json holds a ${object.kind}`);
  return object as T;
}

/** As `resolvePolicy` names it: by the versions of the policy and of all its sets. */
function idOf({ policy, references, next }: ResolvedPolicy): string {
  const exactly = (object: MeasurementPolicy | ReferenceSet) =>
    formatReference({ name: object.name, hash: hashOf(object) });
  const resolution = {
    policy: exactly(policy),
    references: references.map(exactly),
    next: next.map((window) => window.references.map(exactly)),
  };
  return hashOfText(canonicalJson(resolution));
}
