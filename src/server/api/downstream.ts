import { TouchmarkError } from '../../errors.js';
import type { Entry } from '../../spiffe/entry.js';
import type { SpiffeId } from '../../spiffe/id.js';
import type { Privileged } from '../access/privileged.js';
import type { Registry } from '../contract.js';
import type { Node } from '../model.js';
import type { ApiCall } from './service.js';

export interface DownstreamDeps {
  readonly registry: Registry;
  readonly privileged: Privileged;
  /** @throws TouchmarkError when the node's state permits nothing now */
  readonly permitIssuance: (node: Node) => void;
}

/**
 * The downstream server that calls. Of the nodes that hold its entry, by themselves or by an alias, the state of at least one
 * must permit an issuance. Does not establish on which of several nodes it runs: nothing that it shows says so.
 * @throws TouchmarkError why it is refused
 */
export function downstreamCaller(deps: DownstreamDeps, call: ApiCall): SpiffeId {
  const { caller } = call;
  const id = caller.via === 'tls' ? caller.svid?.id : undefined;
  const entries = id === undefined ? [] : deps.privileged.downstreamEntries(id);
  let refusal: unknown = new TouchmarkError('permission_denied', 'no downstream entry names the caller');
  for (const entry of entries) {
    refusal = holderRefusal(deps, entry);
    if (refusal === undefined) return entry.spiffeId;
  }
  throw refusal;
}

/** Why none of an entry's nodes may have anything now; undefined when one may. */
function holderRefusal({ registry, permitIssuance }: DownstreamDeps, entry: Entry): unknown {
  const message = `no agent that is attested holds the entry of ${entry.spiffeId}`;
  let refusal: unknown = new TouchmarkError('agent_not_attested', message);
  for (const id of registry.nodesHolding(entry)) {
    const node = registry.node(id);
    if (node === undefined) continue;
    try {
      permitIssuance(node);
      return undefined;
    } catch (error) {
      refusal = error;
    }
  }
  return refusal;
}
