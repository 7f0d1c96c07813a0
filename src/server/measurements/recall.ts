/** What is remembered of a host, made anew from the archive where it is not in memory: after a restart of the server. */
import { messageOf, TouchmarkError } from '../../errors.js';
import type { Appraisal } from '../../measure/appraise/contract.js';
import { bytesOf, newestRecord, readEvidence } from './archive.js';
import type { ArchivedEvidence, InForce } from './contract.js';
import { judgementKey, type Remembered } from './memory.js';
import type { Room } from './room.js';

/** Of quotes by this key only. Within the host's lane. */
export async function recall(room: Room, hostId: string, akName: string): Promise<Remembered | undefined> {
  const known = room.memory.get(hostId);
  if (known !== undefined) return known.akName === akName ? known : undefined;
  try {
    const rebuilt = await rebuild(room, hostId);
    if (rebuilt === undefined || rebuilt.akName !== akName) return undefined;
    room.memory.set(hostId, rebuilt);
    return rebuilt;
  } catch (error) {
    // The host is asked for everything again; that costs it some bytes and nothing else.
    room.log.warn('kept evidence cannot be judged again', { host_id: hostId, error: messageOf(error) });
    return undefined;
  }
}

async function rebuild(room: Room, hostId: string): Promise<Remembered | undefined> {
  const host = room.registry.host(hostId);
  const record = host?.appraisal;
  if (host === undefined || record === undefined) return undefined;
  return withNewest(room, hostId, async (archived) => {
    const inForce = room.policies.policyFor(host);
    const appraisal = await judgeArchived(room, archived, inForce, archived.evidence.at);
    return {
      ...fromArchive(archived, host.akName),
      ...{ appraisal, state: appraisal.newState, inForce, record, wholeAt: 0 },
      key: judgementKey(inForce, archived.evidence.at),
    };
  });
}

/** The newest evidence of a host with its logs, within the memory that all hosts share for what is kept of them. */
export async function withNewest<T>(
  room: Room,
  hostId: string,
  task: (archived: ArchivedEvidence) => Promise<T>,
): Promise<T | undefined> {
  const newest = await newestRecord(room.store, hostId);
  if (newest === undefined) return undefined;
  const leave = await room.recalled.enter(hostId, bytesOf(newest));
  try {
    return await task(await readEvidence(room.store, newest));
  } finally {
    leave();
  }
}

/** Kept evidence under a policy, at a time: what `appraise` says of whole logs without a state. */
export function judgeArchived(
  room: Room,
  { evidence }: ArchivedEvidence,
  inForce: InForce | undefined,
  at: number,
): Promise<Appraisal> {
  return room.judge.judge({ ...evidence, at }, undefined, inForce?.policy);
}

export function fromArchive({ record, evidence }: ArchivedEvidence, akName: string) {
  const { bootLog, userspaceLog, imaList } = record.logs;
  return {
    akName,
    quote: evidence.quote,
    pcrValues: evidence.pcrValues,
    evidenceId: record.id,
    set: {
      boot: record.boot,
      stored: {
        'boot-log': Math.max(0, bootLog),
        'userspace-log': Math.max(0, userspaceLog),
        'ima-list': Math.max(0, imaList),
      },
    },
  } as const;
}

export function notJudged(error: unknown): TouchmarkError {
  return error instanceof TouchmarkError
    ? error
    : new TouchmarkError('evidence_unjudged', messageOf(error), { cause: error });
}
