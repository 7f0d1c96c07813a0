/** What a commit means: from each record before and after it, the events that it is. Pure. */
import type { Kind, Records, Write } from '../datastores/contract.js';
import { deriveAllowed, deriveHost } from './derive-host.js';
import { deriveHead, deriveObject, deriveWithdrawal } from './derive-measure.js';
import {
  deriveAuthority,
  deriveBundle,
  deriveEntry,
  deriveJoinToken,
  deriveNode,
} from './derive-registry.js';
import type { EventDraft } from './model.js';

/** Before and after of one record; one of them is missing when it was made or removed. */
export interface Change<T> {
  readonly key: string;
  readonly before: T | undefined;
  readonly after: T | undefined;
}

type Derivers = { readonly [K in Kind]?: (change: Change<Records[K]>) => EventDraft[] };

/** Kinds without a row are bookkeeping: indexes, counters, evidence, and the log's own. */
const derivers: Derivers = {
  host: deriveHost,
  allowed_ek: deriveAllowed,
  node: deriveNode,
  join_token: deriveJoinToken,
  entry: deriveEntry,
  authority: deriveAuthority,
  bundle: deriveBundle,
  measure_object: deriveObject,
  measure_head: deriveHead,
  withdrawal: deriveWithdrawal,
};

export function isRecorded(kind: Kind): boolean {
  return Object.hasOwn(derivers, kind);
}

/** @param before the record as it is when the write is decided on */
export function eventsOf(write: Write, before: unknown): EventDraft[] {
  const derive = derivers[write.kind] as ((change: Change<unknown>) => EventDraft[]) | undefined;
  const after = 'deleted' in write ? undefined : write.value;
  if (derive === undefined || (before === undefined && after === undefined)) return [];
  return derive({ key: write.key, before, after });
}
