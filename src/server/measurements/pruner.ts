/** Forgets evidence that is older than it is kept, and what is kept of one host beyond its share; never the newest. */
import { setImmediate } from 'node:timers/promises';
import { messageOf } from '../../errors.js';
import type { Commit, Write } from '../datastores/contract.js';
import type { EvidenceRecord, Host } from '../model.js';
import { bytesOf } from './archive.js';
import { evidenceKey, listPrefix, logPrefix } from './archive-keys.js';
import { measureLimits } from './limits.js';
import type { Room } from './room.js';

const EVERY_MS = 60 * 60_000;
/** Each may be a piece of a log, which is read once more when it goes. */
const LARGEST_BATCH = 20;

export interface EvidencePruner extends Disposable {
  /** Of all hosts. */
  prune(): Promise<void>;
}

/**
 * Now and then, and a host by itself as soon as it brought much since: what it sends is never far beyond its share. A timer
 * runs only while some host has shown something, and not while a pass is under way.
 */
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
  const stops = [
    room.registry.onChange(({ hosts }) => {
      for (const { before, after } of hosts) {
        if (after?.appraisal !== undefined) plan();
        if (before !== undefined && after === undefined) void forget(room, before.id);
      }
    }),
    room.store.subscribe(growthWatch((hostId) => void attempt(room, hostId, () => pruneHost(room, hostId)))),
  ];
  return {
    prune: () => pruneAll(room),
    [Symbol.dispose]() {
      stopped = true;
      cancel?.();
      for (const stop of stops) stop();
    },
  };
}

/** Counts what comes to the archive, host by host, and tells of those that brought much since they were told of. */
function growthWatch(grown: (hostId: string) => void): (commit: Commit) => void {
  const since = new Map<string, { records: number; bytes: number }>();
  return ({ writes }) => {
    for (const write of writes) {
      if ('deleted' in write || (write.kind !== 'evidence' && write.kind !== 'evidence_log')) continue;
      const hostId = write.key.slice(0, write.key.indexOf('/'));
      const count = since.get(hostId) ?? { records: 0, bytes: 0 };
      since.set(hostId, count);
      if (write.kind === 'evidence') count.records += 1;
      else count.bytes += write.value.data.length;
      if (count.records < measureLimits.prunedRecords && count.bytes < measureLimits.pruned) continue;
      since.delete(hostId);
      grown(hostId);
    }
  };
}

function hasEvidence(hosts: Iterable<Host>): boolean {
  for (const { appraisal } of hosts) if (appraisal !== undefined) return true;
  return false;
}

async function pruneAll(room: Room): Promise<void> {
  for (const { id } of [...room.registry.hosts()]) {
    await attempt(room, id, () => pruneHost(room, id));
    await setImmediate();
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
  const crowded = bootsBeyondShare(records);
  const stays = (record: KeptRecord) => record === newest || record.id === named;
  const gone = records.filter(
    (record, at) =>
      !stays(record) &&
      (record.at < oldest || crowded.has(record.boot) || at < records.length - measureLimits.records),
  );
  if (gone.length > 0) await drop(room, hostId, records, gone);
}

/** From the newest boot back, those that no longer fit. */
export function bootsBeyondShare(records: readonly KeptRecord[]): Set<string> {
  const sizes = new Map<string, number>();
  for (const { boot, bytes } of records.toReversed()) sizes.set(boot, Math.max(bytes, sizes.get(boot) ?? 0));
  const beyond = new Set<string>();
  let sum = 0;
  for (const [boot, size] of sizes) {
    sum += size;
    if (sum > measureLimits.host) beyond.add(boot);
  }
  return beyond;
}

/** The logs of a boot go with the last evidence that shows them, and before it: what is left half done is found again. */
async function drop(
  room: Room,
  hostId: string,
  records: readonly KeptRecord[],
  gone: readonly KeptRecord[],
): Promise<void> {
  const going = new Set(gone);
  const left = new Set(records.filter((record) => !going.has(record)).map(({ boot }) => boot));
  const boots = new Set(gone.map(({ boot }) => boot).filter((boot) => !left.has(boot)));
  const writes: Write[] = [];
  for (const boot of boots) {
    for await (const { key } of listPrefix(room.store, 'evidence_log', logPrefix(hostId, boot)))
      writes.push({ kind: 'evidence_log', key, deleted: true });
  }
  for (const { id } of gone) writes.push({ kind: 'evidence', key: evidenceKey(hostId, id), deleted: true });
  for (let at = 0; at < writes.length; at += LARGEST_BATCH) {
    await room.store.commit(writes.slice(at, at + LARGEST_BATCH));
  }
}

/** Of a record what pruning asks: there may be many. */
export interface KeptRecord extends Pick<EvidenceRecord, 'id' | 'at' | 'boot'> {
  /** Of the logs that it shows. */
  readonly bytes: number;
}

/** Oldest first. */
async function recordsOf(room: Room, hostId: string): Promise<KeptRecord[]> {
  const records: KeptRecord[] = [];
  for await (const { value } of listPrefix(room.store, 'evidence', `${hostId}/`)) {
    const { id, at, boot } = value;
    records.push({ id, at, boot, bytes: bytesOf(value) });
  }
  return records;
}
