/** The answer to a tick: verified, completed by the logs that it lacks, judged and written. */
import { create } from '@bufbuild/protobuf';
import type { LogRequest, SentLogPart } from '../../attest/logs.js';
import { TouchmarkError } from '../../errors.js';
import type { TickEvidence, LogPart as WirePart } from '../../wire/gen/touchmark/measure/v1/logs_pb.js';
import { ServerMessageSchema } from '../../wire/gen/touchmark/session/v1/session_pb.js';
import { freshMs, measureTimes } from './limits.js';
import { record } from './record.js';
import { type SessionState, type UnderWay, watchFreshness } from './session-state.js';
import { settle } from './settle.js';
import { attestationKeyOf, clockSuspicions, repeats, verifyTick } from './tick.js';
import { evidenceFromWire, partFromWire, requestToWire } from './wire.js';

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
  if (!repeats(known, verified, room.clock.now())) {
    const pull = (request: LogRequest) => pullPart(state, request);
    const { wishes } = tick;
    const settled = await settle(room, host, { verified, known, wishes, parts: evidence.parts, pull });
    if ((await record(room, settled, suspicions)) === undefined) return;
  } else if (known !== undefined) {
    room.memory.set(host.id, { ...known, quote: verified.quote });
    room.unwritten.add(host.id);
  }
  const wasFresh =
    room.clock.now() - (room.evidenceAt.get(host.id) ?? 0) <= freshMs(room.config.tickInterval);
  room.evidenceAt.set(host.id, room.clock.now());
  if (!wasFresh) port.standing();
  watchFreshness(state);
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
