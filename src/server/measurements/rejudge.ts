/**
 * When policies change, or a window of time begins or ends, the hosts that it concerns are judged anew from what they showed
 * last. Evidence that fails the policy in force is never held back here: what holds a publication back comes before it.
 */
import { setImmediate } from 'node:timers/promises';
import { messageOf } from '../../errors.js';
import type { Host } from '../model.js';
import type { ArchivedEvidence } from './contract.js';
import { judgementKey, type Remembered } from './memory.js';
import { fromArchive, judgeArchived, withNewest } from './recall.js';
import { record } from './record.js';
import type { Room } from './room.js';

/** Hosts under judgement at one time: one is read back while another is judged. What they take of memory has bounds of its own. */
const AT_ONCE = 4;
/** The loop is left to others after so long. */
const SLICE_MS = 8;

export interface Rejudging extends Disposable {
  /** Looks at all hosts; resolves when those that are concerned have been judged. */
  all(): Promise<void>;
  /** Judges this one anew if it was judged under something else than what holds now. Never rejects. */
  one(host: Host): Promise<void>;
}

export function startRejudging(room: Room): Rejudging {
  let running: Promise<void> | undefined;
  let again = false;
  let over = false;
  const all = (): Promise<void> => {
    again = running !== undefined;
    running ??= pass().finally(() => {
      running = undefined;
    });
    return running;
  };
  const pass = async () => {
    do {
      again = false;
      await rejudgeAll(room, () => over);
    } while (again && !over);
  };
  const stops = [
    room.policies.onChange(() => void all()),
    room.registry.onChange(({ hosts }) => {
      for (const { before, after } of hosts) {
        if (after !== undefined && before !== undefined && before.labels !== after.labels)
          void rejudgeHost(room, after);
      }
    }),
  ];
  return {
    all,
    one: (host) => rejudgeHost(room, host),
    [Symbol.dispose]() {
      over = true;
      for (const stop of stops) stop();
    },
  };
}

async function rejudgeAll(room: Room, over: () => boolean): Promise<void> {
  const hosts = [...room.registry.hosts()].values();
  await Promise.all(Array.from({ length: AT_ONCE }, () => rejudgeEach(room, hosts, over)));
}

/** Several share the hosts, so that one that is being judged for long holds up nobody but itself. */
async function rejudgeEach(room: Room, hosts: Iterator<Host>, over: () => boolean): Promise<void> {
  let sliceAt = performance.now();
  for (let next = hosts.next(); next.done !== true; next = hosts.next()) {
    const host = next.value;
    if (over()) return;
    if (isConcerned(room, host)) await rejudgeHost(room, host);
    if (performance.now() - sliceAt < SLICE_MS) continue;
    await setImmediate();
    sliceAt = performance.now();
  }
}

/** Judged under something else than what holds now. */
function isConcerned(room: Room, host: Host): boolean {
  if (host.appraisal === undefined) return false;
  const now = room.clock.now();
  const inForce = room.policies.policyFor(host);
  const known = room.memory.get(host.id);
  if (known !== undefined && known.key !== judgementKey(inForce, now)) return true;
  const { policyId, group, at } = host.appraisal;
  if (policyId !== (inForce?.policy.id ?? '') || group !== (inForce?.group.name ?? '')) return true;
  return known === undefined && judgementKey(inForce, at) !== judgementKey(inForce, now);
}

async function rejudgeHost(room: Room, { id }: Host): Promise<void> {
  try {
    await room.lane(id).run(async () => {
      const host = room.registry.host(id);
      if (host === undefined || !isConcerned(room, host)) return;
      await judgeAnew(room, host);
    });
  } catch (error) {
    // Not judged is not good: it counts as without evidence until it shows some.
    room.hearing.forget(id);
    room.log.warn('a host could not be judged anew', { host_id: id, error: messageOf(error) });
  }
}

function judgeAnew(room: Room, host: Host): Promise<unknown> {
  return withNewest(room, host.id, (archived) => judgeNewest(room, host, archived));
}

async function judgeNewest(room: Room, host: Host, archived: ArchivedEvidence): Promise<void> {
  const { record: kept, evidence } = archived;
  const inForce = room.policies.policyFor(host);
  const at = room.clock.now();
  const appraisal = await judgeArchived(room, archived, inForce, at);
  const source = fromArchive(archived, host.akName);
  const known = room.memory.get(host.id);
  const newer = known?.akName === host.akName && known.set.boot === source.set.boot ? known : undefined;
  const settled = {
    hostId: host.id,
    // What is archived is of one quote: its registers change while nothing else does.
    verified: {
      ...{ akName: host.akName, quote: source.quote, pcrValues: source.pcrValues, asked: kept.asked },
      akPublic: kept.akPublic,
      attest: Buffer.from(kept.attest, 'base64'),
      signature: Buffer.from(kept.signature, 'base64'),
    },
    evidence: { ...evidence, at },
    ...{ appraisal, inForce, set: source.set, wholeAt: known?.wholeAt ?? 0 },
  };
  const recording = await record(room, settled);
  if (recording !== undefined && newer !== undefined) goOnFrom(room, host.id, newer);
}

/** Ticks are held against the newest quote, which the host's own record keeps as well. */
function goOnFrom({ memory }: Room, hostId: string, { quote, pcrValues }: Remembered): void {
  const judged = memory.get(hostId);
  if (judged !== undefined) memory.set(hostId, { ...judged, quote, pcrValues });
}
