/** One change of an enrolled host, its node's selectors with it, as one conditional batch. */
import type { TrustDomain } from '../../spiffe/id.js';
import type { Condition, Datastore, Stored, Write } from '../datastores/contract.js';
import type { Host, Node } from '../model.js';
import { hostSelectors, tpmNodeId } from './selectors.js';

export interface ChangeDeps {
  readonly store: Datastore;
  readonly trustDomain: TrustDomain;
}

export interface Batch {
  readonly writes: readonly Write[];
  readonly conditions: readonly Condition[];
}

/**
 * Puts a changed host in the place of the one that was read; selectors that depend on it are computed anew.
 * @param changeNode what else becomes of its node
 */
export async function hostBatch(
  deps: ChangeDeps,
  before: Stored<Host>,
  after: Host,
  changeNode: (node: Node) => Node = (node) => node,
): Promise<Batch> {
  const key = tpmNodeId(deps.trustDomain, after.id);
  const node = await deps.store.get('node', key);
  const writes: Write[] = [{ kind: 'host', key: after.id, value: after }];
  const conditions: Condition[] = [{ kind: 'host', key: after.id, revision: before.revision }];
  if (node !== undefined) {
    writes.push({ kind: 'node', key, value: changeNode({ ...node.value, selectors: hostSelectors(after) }) });
    conditions.push({ kind: 'node', key, revision: node.revision });
  }
  return { writes, conditions };
}

export function joinBatches(...batches: readonly Batch[]): Batch {
  return {
    writes: batches.flatMap((batch) => batch.writes),
    conditions: batches.flatMap((batch) => batch.conditions),
  };
}
