import { type Clock, unixSeconds } from '../../clock.js';
import type { Entry } from '../../spiffe/entry.js';
import type { SpiffeId } from '../../spiffe/id.js';
import type { Registry } from '../contract.js';

/** The entries whose SVIDs may do more than others, by identity: few, so that a call need not look through all entries. */
export interface Privileged extends Disposable {
  isAdmin(id: SpiffeId): boolean;
  downstreamEntries(id: SpiffeId): readonly Entry[];
}

export function createPrivileged(registry: Registry, clock: Clock): Privileged {
  const byIdentity = new Map<SpiffeId, Map<string, Entry>>();
  const remove = (entry: Entry) => {
    const entries = byIdentity.get(entry.spiffeId);
    entries?.delete(entry.id);
    if (entries?.size === 0) byIdentity.delete(entry.spiffeId);
  };
  const add = (entry: Entry) => {
    if (!entry.admin && !entry.downstream) return;
    const entries = byIdentity.get(entry.spiffeId) ?? new Map<string, Entry>();
    byIdentity.set(entry.spiffeId, entries.set(entry.id, entry));
  };
  for (const entry of registry.entries()) add(entry);
  const unsubscribe = registry.onChange(({ entries }) => {
    for (const { before, after } of entries) {
      if (before !== undefined) remove(before);
      if (after !== undefined) add(after);
    }
  });
  const current = (id: SpiffeId): Entry[] => {
    const now = unixSeconds(clock);
    const entries = [...(byIdentity.get(id)?.values() ?? [])];
    return entries.filter((entry) => entry.expiresAt === 0 || entry.expiresAt > now);
  };
  return {
    isAdmin: (id) => current(id).some((entry) => entry.admin),
    downstreamEntries: (id) => current(id).filter((entry) => entry.downstream),
    [Symbol.dispose]: unsubscribe,
  };
}
