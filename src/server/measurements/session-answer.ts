/** The answer to a tick: verified, completed by the logs that it lacks, judged and written. */
import { create } from '@bufbuild/protobuf';
import type { LogRequest, SentLogPart } from '../../attest/logs.js';
import { TouchmarkError } from '../../errors.js';
import type { TickEvidence, LogPart as WirePart } from '../../wire/gen/touchmark/measure/v1/logs_pb.js';
import { ServerMessageSchema } from '../../wire/gen/touchmark/session/v1/session_pb.js';
import type { Host } from '../model.js';
import { freshMs, measureTimes } from './limits.js';
import { heardAgain, judgementKey, type Remembered } from './memory.js';
import { record } from './record.js';
import type { Room, VerifiedQuote } from './room.js';
import { type SessionState, type UnderWay, watchFreshness } from './session-state.js';
import { settle } from './settle.js';
import { attestationKeyOf, bringsNothing, clockSuspicions, repeats, verifyTick } from './tick.js';
import { evidenceFromWire, partFromWire, requestToWire, type SessionEvidence } from './wire.js';

export async function judgeEvidence(
  state: SessionState,
  { tick }: UnderWay,
  wire: TickEvidence,
): Promise<void> {
  const { room, port } = state;
  const host = room.registry.host(port.hostId);
  const ak = host && attestationKeyOf(host);
  if (host === undefined || ak === undefined)
    throw new TouchmarkError('evidence_unexpected', `host ${port.hostId} is not known any more`);
  const evidence = evidenceFromWire(wire);
  const verified = verifyTick(tick, evidence, host, ak, room.config);
  const suspicions = clockSuspicions(tick.previous, verified.quote);
  const known = suspicions.length > 0 ? undefined : tick.known;
  if (
    known !== undefined &&
    room.memory.get(host.id) === known &&
    isKnown(room, host, known, verified, evidence)
  ) {
    const { quote, pcrValues } = verified;
    room.memory.set(host.id, heardAgain(known, { quote, pcrValues }, room.clock.now()));
    room.unwritten.add(host.id);
  } else {
    const pull = (request: LogRequest) => pullPart(state, request);
    const { wishes } = tick;
    const received = { verified, known, wishes, parts: evidence.parts, pull };
    const recorded = await settle(room, host, received, (settled) => record(room, settled, suspicions));
    if (recorded === undefined) return;
  }
  const wasFresh = room.hearing.age(host.id) <= freshMs(room.config.tickInterval);
  room.hearing.heard(host.id);
  if (!wasFresh) port.standing();
  watchFreshness(state);
}

/** Nothing has to be judged anew, since it would come out as it did. */
function isKnown(
  room: Room,
  host: Host,
  known: Remembered,
  verified: VerifiedQuote,
  { parts }: SessionEvidence,
): boolean {
  const now = room.clock.now();
  const key = judgementKey(room.policies.policyFor(host), now);
  return bringsNothing(known, verified, parts, key) || repeats(known, verified, key, now);
}

function pullPart(state: SessionState, request: LogRequest): Promise<SentLogPart> {
  const { room, port, underWay } = state;
  return new Promise((resolve, reject) => {
    if (underWay === undefined || state.over)
      return reject(new TouchmarkError('evidence_late', 'the session ended before its evidence was whole'));
    const late = () =>
      underWay.pulling?.failed(
        new TouchmarkError('evidence_late', `the ${request.log} did not come within its time`),
      );
    const cancel = room.clock.after(measureTimes.answerMs, late);
    const settled = (act: () => void) => {
      cancel();
      delete underWay.pulling;
      act();
    };
    underWay.pulling = {
      done: (part) => settled(() => resolve(part)),
      failed: (error) => settled(() => reject(error)),
    };
    const value = requestToWire(request);
    port.send(create(ServerMessageSchema, { message: { case: 'logRequest', value: value as never } }));
  });
}

export function takePart({ underWay, port }: SessionState, wire: WirePart): void {
  const pulling = underWay?.pulling;
  if (pulling === undefined) {
    port.fail(new TouchmarkError('evidence_unexpected', 'a part of a log was not asked for'));
    return;
  }
  try {
    pulling.done(partFromWire(wire));
  } catch (error) {
    pulling.failed(error);
  }
}
