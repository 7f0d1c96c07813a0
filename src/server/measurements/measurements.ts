/** Measuring: what hosts show is verified, judged, written and remembered here, at attestation and from then on. */
import type { Node } from '../model.js';
import { createArchive } from './archive.js';
import { type AttachedSession, attachSession } from './attached.js';
import { type AttestationMeasuring, attestationMeasuring } from './attestation.js';
import { byteGate } from './byte-gate.js';
import type { Measurements } from './contract.js';
import { hearing } from './hearing.js';
import { createJudge } from './judge.js';
import { freshMs, measureLimits } from './limits.js';
import { startEvidencePruner } from './pruner.js';
import { createPulls } from './pulls.js';
import { quoteFlush } from './quote-flush.js';
import { startRejudging } from './rejudge.js';
import { hostLanes, type Room, type RoomDeps } from './room.js';
import type { SessionPort } from './session-state.js';

/** The room as the rest of the server sees it. */
export interface MeasurementRoom extends Measurements, AsyncDisposable {
  readonly attestation: AttestationMeasuring;
  /** From the hello of a session to its end, for an agent that answers ticks. */
  attach(port: SessionPort): AttachedSession;
  /** Whether there is evidence of late, where the policy in force takes identities away for the lack of it. */
  isFresh(node: Pick<Node, 'hostId'>): boolean;
  /** Judges anew whoever was judged under something else; resolves when that is done. */
  rejudge(): Promise<void>;
  prune(): Promise<void>;
  /** Writes the times of unchanged evidence. */
  flush(): Promise<void>;
}

export function createMeasurements(deps: RoomDeps): MeasurementRoom {
  const judge = createJudge(deps.appraiser);
  const base = {
    ...deps,
    ...{ judge, pulls: createPulls(deps.clock), archive: createArchive(deps.store) },
    recalled: byteGate(deps.clock, measureLimits.recalled),
    ...{ memory: new Map(), hearing: hearing(deps.clock), lane: hostLanes() },
  };
  const flush = quoteFlush(base);
  const room: Room = { ...base, unwritten: flush };
  const sessions = new Map<string, AttachedSession>();
  const pruner = startEvidencePruner(room);
  const rejudging = startRejudging(room);
  const stopPolicies = room.policies.onChange(() => {
    for (const session of sessions.values()) session.policyChanged();
  });
  // What was published, or ended, while the server was down.
  void rejudging.all();
  const stop = () => {
    stopPolicies();
    rejudging[Symbol.dispose]();
    pruner[Symbol.dispose]();
  };
  return {
    archive: room.archive,
    attestation: attestationMeasuring(room, rejudging),
    attach(port) {
      const session = attachSession(room, port);
      sessions.get(port.hostId)?.[Symbol.dispose]();
      sessions.set(port.hostId, session);
      return withEnd(session, () => {
        if (sessions.get(port.hostId) === session) sessions.delete(port.hostId);
      });
    },
    ...readings(room),
    rejudge: rejudging.all,
    prune: pruner.prune,
    flush: flush.flush,
    tickNow: (hostId) => sessions.get(hostId)?.tickNow(),
    freshEvidence: (hostId, withinMs) => sessions.get(hostId)?.fresh(withinMs) ?? Promise.resolve(false),
    [Symbol.dispose]: stop,
    async [Symbol.asyncDispose]() {
      stop();
      for (const session of sessions.values()) session[Symbol.dispose]();
      await flush[Symbol.asyncDispose]();
      await judge[Symbol.asyncDispose]();
    },
  };
}

/** What is asked of this room without anything happening. */
function readings(
  room: Room,
): Pick<MeasurementRoom, 'isFresh' | 'current' | 'lastEvidenceAt' | 'isMeasured'> {
  return {
    isFresh: ({ hostId }) => isFresh(room, hostId),
    current(hostId) {
      const known = room.memory.get(hostId);
      if (known !== undefined) {
        const at = Math.max(known.record.at, room.hearing.at(hostId));
        return { record: { ...known.record, at }, appraisal: known.appraisal };
      }
      const record = room.registry.host(hostId)?.appraisal;
      return record && { record };
    },
    lastEvidenceAt: (hostId) => room.hearing.at(hostId),
    isMeasured(hostId, digest) {
      const known = room.memory.get(hostId);
      return known !== undefined && room.appraiser.isMeasured(known.state, digest);
    },
  };
}

function withEnd(session: AttachedSession, ended: () => void): AttachedSession {
  return {
    ...session,
    [Symbol.dispose]() {
      ended();
      session[Symbol.dispose]();
    },
  };
}

/** Silence never looks like health: where a policy is enforced, a node without recent evidence is served nothing. */
function isFresh(room: Room, hostId: string | undefined): boolean {
  const host = hostId === undefined ? undefined : room.registry.host(hostId);
  if (host === undefined) return true;
  if (room.policies.policyFor(host)?.policy.policy.mode !== 'enforce') return true;
  return room.hearing.age(host.id) <= freshMs(room.config.tickInterval);
}
