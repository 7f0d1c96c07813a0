import { messageOf } from '../../errors.js';
import type { Logger } from '../../log.js';
import type { PeerSvid } from '../access/caller.js';
import type { Registry } from '../contract.js';
import type { Hosts } from '../hosts/contract.js';
import type { NodeEvent } from '../nodes/events.js';
import type { Sessions } from './contract.js';

export interface OutdatedDeps {
  readonly registry: Pick<Registry, 'node'>;
  readonly sessions: Pick<Sessions, 'isLive'>;
  readonly hosts: Pick<Hosts, 'suspect'>;
  readonly onEvent: (event: NodeEvent) => void;
  readonly log: Logger;
}

/**
 * Somebody wants a session by an SVID that a newer one of the same node has replaced. An agent keeps the key of one node
 * SVID, in memory, and never goes back to the one before. So while the newer one holds a live session, this is another
 * agent with the same chip: two clones that attest in turn would otherwise never be live at once.
 */
export function watchOutdated(deps: OutdatedDeps): (svid: PeerSvid, address: string) => void {
  return ({ id }, address) => {
    const hostId = deps.registry.node(id)?.hostId;
    if (hostId === undefined || !deps.sessions.isLive(id)) return;
    deps.onEvent({ name: 'node_seen_twice', nodeId: id, addresses: [address] });
    const message = 'a replaced SVID of the node was used while its newer one was in use';
    deps.hosts.suspect(hostId, [{ code: 'cloned-or-cleared', message }]).catch((error) => {
      deps.log.error('a cloned host could not be put under suspicion', { hostId, error: messageOf(error) });
    });
  };
}
