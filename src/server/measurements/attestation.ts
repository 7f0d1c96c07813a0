/** What measuring has to do with an attestation: wishes for its challenge, a judgement before anything is signed. */
import {
  type LogRequest,
  type LogWish,
  MEASUREMENT_FEATURE,
  type MeasuredLog,
  type SentLogPart,
} from '../../attest/logs.js';
import { logKinds } from '../../measure/appraise/contract.js';
import type { ClockInfo } from '../../tpm/attest.js';
import type { Host, Reason } from '../model.js';
import { wishesFor } from './collect.js';
import { joinRemembered, judgementKey, type Remembered } from './memory.js';
import { recall } from './recall.js';
import { planRecording, type Recording, tell } from './record.js';
import type { Rejudging } from './rejudge.js';
import type { Judgee, Room, VerifiedQuote } from './room.js';
import { type Settled, settle } from './settle.js';
import { clockSuspicions, newestQuote } from './tick.js';

/** What is known of a chip when it is challenged; its answer is held against that. */
export interface AskedAttestation {
  readonly wishes: readonly LogWish[];
  readonly known: Remembered | undefined;
  readonly previous: ClockInfo | undefined;
}

export interface JudgedAttestation {
  readonly settled: Settled;
  readonly suspicions: readonly Reason[];
}

export interface AttestationMeasuring {
  /** @param host undefined for a chip that was never here */
  ask(host: Host | undefined, akName: string, features: readonly string[]): Promise<AskedAttestation>;
  /** @throws TouchmarkError `evidence_invalid`, `evidence_busy`, `evidence_late`, `evidence_unjudged`, and what `pull` throws */
  judge(
    host: Judgee,
    asked: AskedAttestation,
    verified: VerifiedQuote,
    parts: readonly SentLogPart[],
    pull: (request: LogRequest) => Promise<SentLogPart>,
  ): Promise<JudgedAttestation>;
  /** What is to be written together with the host's record. */
  plan(host: Host, judged: JudgedAttestation): Recording;
  /** All of it is committed. */
  committed(
    before: Pick<Host, 'id' | 'state'>,
    after: Host,
    judged: JudgedAttestation,
    recording: Recording,
  ): void;
}

/** A chip that is asked for nothing: an operator has not let it in. */
export const nothingAsked: AskedAttestation = { wishes: [], known: undefined, previous: undefined };

export function attestationMeasuring(room: Room, rejudging: Pick<Rejudging, 'one'>): AttestationMeasuring {
  return {
    async ask(host, akName, features) {
      const known =
        host === undefined ? undefined : await room.lane(host.id).run(() => recall(room, host.id, akName));
      const previous = newestQuote(host, room.memory.get(host?.id ?? '') ?? known);
      const wishes = features.includes(MEASUREMENT_FEATURE) ? wishesFor(known?.state) : [];
      return { wishes, known, previous };
    },
    judge(host, asked, verified, parts, pull) {
      const suspicions = clockSuspicions(asked.previous, verified.quote);
      const known = suspicions.length > 0 ? undefined : asked.known;
      const { wishes } = asked;
      const sent = wishes.length === 0 ? logKinds.map(notSent) : parts;
      const answered = wishes.length === 0 ? wishesFor(undefined) : wishes;
      const received = { verified, known, wishes: answered, parts: sent, pull };
      return settle(room, host, received, async (settled) => ({ settled, suspicions }));
    },
    plan: (host, { settled }) => planRecording(host, settled, room.memory.get(host.id)),
    committed(before, after, { suspicions, settled }, recording) {
      room.memory.set(after.id, joinRemembered(recording.remembered, room.memory.get(after.id)));
      room.hearing.heard(after.id);
      room.unwritten.delete(after.id);
      tell(room, before, after, suspicions);
      // Whoever was not known yet when a policy was published was not judged anew by it.
      const { inForce, evidence } = settled;
      const now = judgementKey(room.policies.policyFor(after), room.clock.now());
      if (judgementKey(inForce, evidence.at) !== now) void rejudging.one(after);
    },
  };
}

function notSent(log: MeasuredLog): SentLogPart {
  const reason = 'the agent is of a version that sends no logs';
  return { log, state: 'absent', offset: 0, data: new Uint8Array(), remaining: 0, reason };
}
