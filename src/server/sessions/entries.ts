/** What an agent holds, and the messages that bring it from there to what it shall hold. Pure. */
import { create } from '@bufbuild/protobuf';
import type { Entry } from '../../spiffe/entry.js';
import { entryToWire } from '../../wire/entry.js';
import type { Entry as WireEntry } from '../../wire/gen/spire/types_pb.js';
import { type ServerMessage, ServerMessageSchema } from '../../wire/gen/touchmark/session/v1/session_pb.js';

/** The entries that were sent, by identity of the object: one that changed is another object. 8 bytes an entry. */
export type Held = readonly Entry[];

export interface Delta {
  /** Replaces all that the agent holds. */
  readonly full: boolean;
  readonly upserts: readonly Entry[];
  /** IDs. */
  readonly removed: readonly string[];
}

/** `before` undefined: nothing is known of what the agent holds, and everything is sent. */
export function deltaOf(before: Held | undefined, now: ReadonlyMap<string, Entry>): Delta {
  if (before === undefined) return { full: true, upserts: [...now.values()], removed: [] };
  const held = new Set(before);
  const upserts = [...now.values()].filter((entry) => !held.has(entry));
  const removed = before.filter((entry) => !now.has(entry.id)).map((entry) => entry.id);
  return { full: false, upserts, removed };
}

export function isEmpty(delta: Delta): boolean {
  return !delta.full && delta.upserts.length === 0 && delta.removed.length === 0;
}

/**
 * A delta as messages of at most about `maxBytes`; all but the last say `more`. An empty one is one message too: it says
 * that the agent is at this revision.
 */
export function* entriesMessages(
  delta: Delta,
  at: { readonly epoch: string; readonly revision: number },
  maxBytes: number,
): Generator<ServerMessage> {
  let upserts: WireEntry[] = [];
  let removed: string[] = [];
  let size = 0;
  let first = true;
  const message = (more: boolean): ServerMessage => {
    const value = {
      epoch: at.epoch,
      revision: BigInt(at.revision),
      full: delta.full && first,
      upserts,
      removed,
      more,
    };
    [upserts, removed, size, first] = [[], [], 0, false];
    return create(ServerMessageSchema, { message: { case: 'entries', value } });
  };
  for (const id of delta.removed) {
    const bytes = id.length + 8;
    if (size + bytes > maxBytes && size > 0) yield message(true);
    removed.push(id);
    size += bytes;
  }
  for (const entry of delta.upserts) {
    const bytes = sizeOf(entry);
    if (size + bytes > maxBytes && size > 0) yield message(true);
    upserts.push(entryToWire(entry));
    size += bytes;
  }
  yield message(false);
}

/** Not less than what the entry takes on the wire. */
export function sizeOf(entry: Entry): number {
  const texts = [entry.id, entry.spiffeId, entry.parentId, ...entry.federatesWith, ...entry.dnsNames];
  const selectors = entry.selectors.flatMap(({ type, value }) => [type, value]);
  const length = [...texts, ...selectors].reduce((sum, text) => sum + Buffer.byteLength(text) + 6, 0);
  return length + Buffer.byteLength(entry.hint) + 128;
}

/** The foreign trust domains that a set of entries names, sorted. */
export function federatedDomains(entries: Iterable<Entry>): string[] {
  const domains = new Set<string>();
  for (const entry of entries) for (const domain of entry.federatesWith) domains.add(domain);
  return [...domains].sort();
}
