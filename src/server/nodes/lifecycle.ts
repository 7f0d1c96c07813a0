import { TouchmarkError } from '../../errors.js';
import type { Entry } from '../../spiffe/entry.js';
import { entryUniqueKey } from '../../spiffe/entry.js';
import type { SpiffeId } from '../../spiffe/id.js';
import type { PeerSvid } from '../access/caller.js';
import { commitPlan } from '../commit.js';
import type { Registry } from '../contract.js';
import type { Condition, Datastore, Stored, Write } from '../datastores/contract.js';
import type { Node } from '../model.js';

/**
 * The node behind a verified agent SVID, in force now. Asked at every call, and again while a stream lives.
 * Does not establish what the node's state permits: `checkIssuance` does.
 * @returns the node, and whether this is the first time that its renewed serial is presented
 * @throws TouchmarkError `agent_not_attested`, `agent_banned`, `agent_not_active`
 */
export function nodeInForce(registry: Registry, svid: PeerSvid): { node: Node; promote: boolean } {
  const node = registry.node(svid.id);
  if (node === undefined) throw new TouchmarkError('agent_not_attested', `agent ${svid.id} is not attested`);
  if (node.banned) throw new TouchmarkError('agent_banned', `agent ${svid.id} is banned`);
  if (svid.serial === node.serial) return { node, promote: false };
  if (svid.serial === node.nextSerial) return { node, promote: true };
  throw new TouchmarkError(
    'agent_not_active',
    `agent ${svid.id} has a newer SVID than the one with serial ${svid.serial}`,
  );
}

/** What is done to nodes after they have attested; each is one conditional commit. */
export interface NodeLifecycle {
  /** The renewed SVID was presented: it is the one in force from here on. */
  promote(id: SpiffeId, serial: string): Promise<void>;
  /** A renewed SVID was signed; the one in force stays so until the new one is presented. */
  renewed(id: SpiffeId, attestationNumber: number, serial: string, expiresAt: number): Promise<void>;
  /** Of a node without a host: `Hosts.banNode` bans the others. */
  ban(id: SpiffeId): Promise<void>;
  /** Forgets the node, and what was registered for its join token. */
  evict(id: SpiffeId): Promise<void>;
  setVersion(id: SpiffeId, version: string): Promise<void>;
}

export function createNodeLifecycle(store: Datastore, registry: Registry): NodeLifecycle {
  return {
    promote: (id, serial) =>
      changeNode(store, id, (node) =>
        node.nextSerial === serial && serial !== '' ? { ...node, serial, nextSerial: '' } : node,
      ),
    renewed: (id, attestationNumber, serial, expiresAt) =>
      changeNode(store, id, (node) => {
        if (node.banned) throw new TouchmarkError('agent_banned', `agent ${id} is banned`);
        if (node.attestationNumber !== attestationNumber) {
          throw new TouchmarkError(
            'agent_not_active',
            `agent ${id} attested again while it renewed its SVID`,
          );
        }
        return { ...node, nextSerial: serial, svidExpiresAt: expiresAt };
      }),
    ban: (id) => changeNode(store, id, (node) => ({ ...node, banned: true, serial: '', nextSerial: '' })),
    setVersion: (id, version) =>
      changeNode(store, id, (node) =>
        node.agentVersion === version ? node : { ...node, agentVersion: version },
      ),
    evict: (id) => evict(store, registry, id),
  };
}

function changeNode(store: Datastore, id: SpiffeId, change: (node: Node) => Node): Promise<void> {
  return commitPlan(store, async () => {
    const stored = await existing(store, id);
    const value = change(stored.value);
    const writes: Write[] = value === stored.value ? [] : [{ kind: 'node', key: id, value }];
    return { writes, conditions: [{ kind: 'node', key: id, revision: stored.revision }], result: undefined };
  });
}

function evict(store: Datastore, registry: Registry, id: SpiffeId): Promise<void> {
  return commitPlan(store, async () => {
    const stored = await existing(store, id);
    const writes: Write[] = [{ kind: 'node', key: id, deleted: true }];
    const conditions: Condition[] = [{ kind: 'node', key: id, revision: stored.revision }];
    for (const entry of tokenAliases(registry, stored.value)) {
      const seen = await store.get('entry', entry.id);
      if (seen === undefined) continue;
      conditions.push({ kind: 'entry', key: entry.id, revision: seen.revision });
      writes.push({ kind: 'entry', key: entry.id, deleted: true });
      writes.push({ kind: 'entry_key', key: entryUniqueKey(seen.value), deleted: true });
    }
    return { writes, conditions, result: undefined };
  });
}

/** The alias entries that CreateJoinToken made for this node: they mean nothing once its token's identity is gone. */
function tokenAliases(registry: Registry, node: Node): Entry[] {
  if (node.attestationType !== 'join_token') return [];
  const found: Entry[] = [];
  for (const entry of registry.authorizedEntries(node.id).values()) {
    if (entry.parentId === node.id && isTokenAlias(entry)) found.push(entry);
  }
  return found;
}

/** As CreateJoinToken makes them: the only selector is the parent's own ID. */
export function isTokenAlias(entry: Entry): boolean {
  const [only, ...more] = entry.selectors;
  return more.length === 0 && only?.type === 'spiffe_id' && only.value === entry.parentId;
}

async function existing(store: Datastore, id: SpiffeId): Promise<Stored<Node>> {
  const stored = await store.get('node', id);
  if (stored === undefined) throw new TouchmarkError('agent_not_found', `there is no agent ${id}`);
  return stored;
}
