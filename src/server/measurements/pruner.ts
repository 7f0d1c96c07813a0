/** Forgets evidence that is older than it is kept, and what is kept of one host beyond its share; never the newest. */
import { messageOf } from '../../errors.js';
import type { Write } from '../datastores/contract.js';
import type { EvidenceRecord, Host } from '../model.js';
import { evidenceKey, listPrefix, logPrefix } from './archive-keys.js';
import { measureLimits } from './limits.js';
import type { Room } from './room.js';

const EVERY_MS = 60 * 60_000;
const LARGEST_BATCH = 100;

export interface EvidencePruner extends Disposable {
  /** Of all hosts. */
  prune(): Promise<void>;
}

/** A timer runs only while some host has shown something, and not while a pass is under way. */
export function startEvidencePruner(room: Room): EvidencePruner {
  let cancel: (() => void) | undefined;
  let stopped = false;
  const plan = () => {
    if (!stopped) cancel ??= room.clock.after(EVERY_MS, () => void pass());
  };
  const pass = async () => {
    await pruneAll(room);
    cancel = undefined;
    if (hasEvidence(room.registry.hosts())) plan();
  };
  if (hasEvidence(room.registry.hosts())) plan();
  const stop = room.registry.onChange(({ hosts }) => {
    for (const { before, after } of hosts) {
      if (after?.appraisal !== undefined) plan();
      if (before !== undefined && after === undefined) void forget(room, before.id);
    }
  });
  return {
    prune: () => pruneAll(room),
    [Symbol.dispose]() {
      stopped = true;
      cancel?.();
      stop();
    },
  };
}

function hasEvidence(hosts: Iterable<Host>): boolean {
  for (const { appraisal } of hosts) if (appraisal !== undefined) return true;
  return false;
}

async function pruneAll(room: Room): Promise<void> {
  for (const { id } of [...room.registry.hosts()]) {
    await attempt(room, id, () => pruneHost(room, id));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function forget(room: Room, hostId: string): Promise<void> {
  room.memory.delete(hostId);
  room.hearing.forget(hostId);
  room.unwritten.delete(hostId);
  await attempt(room, hostId, async () => {
    const records = await recordsOf(room, hostId);
    await drop(room, hostId, records, records);
  });
}

async function attempt(room: Room, hostId: string, task: () => Promise<void>): Promise<void> {
  try {
    await room.lane(hostId).run(task);
  } catch (error) {
    room.log.warn('old evidence could not be removed', { host_id: hostId, error: messageOf(error) });
  }
}

async function pruneHost(room: Room, hostId: string): Promise<void> {
  const records = await recordsOf(room, hostId);
  const oldest = room.clock.now() - room.config.keepEvidence * 1000;
  const named = room.registry.host(hostId)?.appraisal?.evidenceId;
  const newest = records.at(-1);
  const stays = (record: EvidenceRecord) => record === newest || record.id === named;
  const crowded = bootsBeyondShare(records);
  const gone = records.filter((record) => !stays(record) && (record.at < oldest || crowded.has(record.boot)));
  if (gone.length > 0) await drop(room, hostId, records, gone);
}

/** From the newest boot back, those that no longer fit. */
export function bootsBeyondShare(records: readonly EvidenceRecord[]): Set<string> {
  const sizes = new Map<string, number>();
  for (const { boot, logs } of records.toReversed()) {
    const size = Object.values(logs).reduce((sum, length) => sum + Math.max(0, length), 0);
    sizes.set(boot, Math.max(size, sizes.get(boot) ?? 0));
  }
  const beyond = new Set<string>();
  let sum = 0;
  for (const [boot, size] of sizes) {
    sum += size;
    if (sum > measureLimits.host) beyond.add(boot);
  }
  return beyond;
}

/** The logs of a boot go with the last evidence that shows them. */
async function drop(
  room: Room,
  hostId: string,
  records: readonly EvidenceRecord[],
  gone: readonly EvidenceRecord[],
): Promise<void> {
  const left = new Set(records.filter((record) => !gone.includes(record)).map(({ boot }) => boot));
  const boots = new Set(gone.map(({ boot }) => boot).filter((boot) => !left.has(boot)));
  const writes = gone.map(
    ({ id }): Write => ({ kind: 'evidence', key: evidenceKey(hostId, id), deleted: true }),
  );
  for (const boot of boots) {
    for await (const { key } of listPrefix(room.store, 'evidence_log', logPrefix(hostId, boot)))
      writes.push({ kind: 'evidence_log', key, deleted: true });
  }
  for (let at = 0; at < writes.length; at += LARGEST_BATCH) {
    await room.store.commit(writes.slice(at, at + LARGEST_BATCH));
  }
}

async function recordsOf(room: Room, hostId: string): Promise<EvidenceRecord[]> {
  const records: EvidenceRecord[] = [];
  for await (const { value } of listPrefix(room.store, 'evidence', `${hostId}/`)) records.push(value);
  return records;
}
