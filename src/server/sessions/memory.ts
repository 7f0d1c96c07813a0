/**
 * What agents that lost their connection held. Resuming is a proof: an agent says at which revision it is, and gets a delta
 * only if it is certain what it holds; else it gets the whole set. A restart of the server forgets all but that proof which
 * needs no memory: nothing was changed since.
 */
import type { Entry } from '../../spiffe/entry.js';
import type { SpiffeId } from '../../spiffe/id.js';
import { formatSelector } from '../../spiffe/selector.js';
import type { RegistryChange } from '../contract.js';
import type { Node } from '../model.js';
import type { Held } from './entries.js';

/** The position of an agent: its set as of a revision of a store. */
export interface Position {
  readonly epoch: string;
  readonly revision: number;
}

export interface SessionMemory {
  /** What an agent at this position holds, or undefined when that cannot be proved. */
  resume(nodeId: SpiffeId, position: Position, now: ReadonlyMap<string, Entry>): Held | undefined;
  /** The node's connection is gone; this is the last that was sent to it. */
  remember(nodeId: SpiffeId, revision: number, held: Held): void;
  /** To be told of every change. */
  note(change: RegistryChange): void;
  /** Entries remembered, over all nodes. */
  readonly size: number;
}

/** @param current the registry's revision now: what happened before it is not known */
export function createSessionMemory(epoch: string, current: number, limit: number): SessionMemory {
  const remembered = new Map<SpiffeId, { revision: number; held: Held }>();
  let size = 0;
  let newest = current;
  /** No node's set changed after this revision, as far as this process can tell. */
  let quietSince = current;
  const drop = (nodeId: SpiffeId) => {
    size -= (remembered.get(nodeId)?.held.length ?? -1) + 1;
    remembered.delete(nodeId);
  };
  return {
    resume(nodeId, position, now) {
      if (position.epoch !== epoch || position.revision <= 0 || position.revision > newest) return undefined;
      if (position.revision >= quietSince) return [...now.values()];
      const last = remembered.get(nodeId);
      return last?.revision === position.revision ? last.held : undefined;
    },
    remember(nodeId, revision, held) {
      drop(nodeId);
      remembered.set(nodeId, { revision, held });
      size += held.length + 1;
      for (const oldest of remembered.keys()) {
        if (size <= limit) break;
        drop(oldest);
      }
    },
    note(change) {
      newest = change.revision;
      if (change.entries.length > 0 || change.nodes.some(changesSets)) quietSince = change.revision;
    },
    get size() {
      return size;
    },
  };
}

/** Whether a node's selectors, and with them the aliases that it falls under, can have changed. */
export function changesSets({ before, after }: { before?: Node; after?: Node }): boolean {
  if (after === undefined) return false;
  if (before === undefined) return true;
  const written = (node: Node) => node.selectors.map(formatSelector).sort().join('\n');
  return before.selectors !== after.selectors && written(before) !== written(after);
}
