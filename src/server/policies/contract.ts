import type { MeasurementObject, ResolvedPolicy } from '../../measure/policy/model.js';
import type { ObjectKind } from '../../measure/policy/resolve.js';
import type { PolicyBook } from '../measurements/contract.js';
import type { Shelf } from './shelf.js';

/** The book as the rooms of policies use it. */
export interface Policies extends PolicyBook {
  /** What is published at this moment. */
  readonly shelf: Shelf;
  /** A policy as it was resolved at any time since it was published, by `ResolvedPolicy.id`. */
  resolved(policyId: string): Promise<ResolvedPolicy | undefined>;
}

/** The kinds in the order in which they name one another: sets, then policies, then groups. */
export const objectKinds: readonly ObjectKind[] = ['ReferenceSet', 'MeasurementPolicy', 'HostGroup'];

export function headKey({ kind, name }: Pick<MeasurementObject, 'kind' | 'name'>): string {
  return `${kind}/${name}`;
}

export function versionKey(object: Pick<MeasurementObject, 'kind' | 'name'>, hash: string): string {
  return `${headKey(object)}/${hash}`;
}
