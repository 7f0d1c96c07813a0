import { TouchmarkError } from '../../errors.js';
import type { SpiffeId } from '../../spiffe/id.js';
import type { Privileged } from '../access/privileged.js';
import type { Registry } from '../contract.js';
import type { Serials } from '../issuing/serials.js';
import type { Node } from '../model.js';
import type { ApiCall } from './service.js';

export interface DownstreamDeps {
  readonly registry: Registry;
  readonly privileged: Privileged;
  readonly serials: Pick<Serials, 'holderOf'>;
  /** @throws TouchmarkError when the node's state permits nothing now */
  readonly permitIssuance: (node: Node) => void;
}

export interface DownstreamCaller {
  readonly id: SpiffeId;
  /** On which it runs; undefined: its SVID was issued to none, but minted by an operator. */
  readonly node: SpiffeId | undefined;
}

/**
 * The downstream server that calls. The serial number of its SVID tells for which of the nodes that hold its entry, by themselves
 * or by an alias, it was issued, and that node's state must permit an issuance; of an SVID that was minted by hand, at least
 * one's.
 * @throws TouchmarkError why it is refused
 */
export function downstreamCaller(deps: DownstreamDeps, call: ApiCall): DownstreamCaller {
  const { registry, privileged, serials, permitIssuance } = deps;
  const svid = call.caller.via === 'tls' ? call.caller.svid : undefined;
  const entries = svid === undefined ? [] : privileged.downstreamEntries(svid.id);
  if (svid === undefined || entries.length === 0) {
    throw new TouchmarkError('permission_denied', 'no downstream entry names the caller');
  }
  const { id, serial } = svid;
  const nodes = new Set(entries.flatMap((entry) => [...registry.nodesHolding(entry)]));
  const holder = serials.holderOf(serial, nodes);
  const message = `no agent that is attested holds the entry of ${id}`;
  let refusal: unknown = new TouchmarkError('agent_not_attested', message);
  for (const name of holder === undefined ? nodes : [holder]) {
    const node = registry.node(name);
    if (node === undefined) continue;
    try {
      permitIssuance(node);
      return { id, node: holder };
    } catch (error) {
      refusal = error;
    }
  }
  throw refusal;
}
