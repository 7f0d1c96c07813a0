/**
 * The measuring of one node over its session: at most one tick is under way, and its answer is verified, judged and written
 * before the next one goes out. Nothing is polled: the next tick comes by its time, by growth, or because somebody asks.
 */
import { create } from '@bufbuild/protobuf';
import { hasCode, messageOf, type RpcCode, TouchmarkError } from '../../errors.js';
import type { TickEvidence, LogPart as WirePart } from '../../wire/gen/touchmark/measure/v1/logs_pb.js';
import { ServerMessageSchema } from '../../wire/gen/touchmark/session/v1/session_pb.js';
import { measureTimes } from './limits.js';
import { notJudged, recall } from './recall.js';
import type { Room } from './room.js';
import { judgeEvidence, takePart } from './session-answer.js';
import { type SessionPort, type SessionState, watchFreshness } from './session-state.js';
import { askTick } from './tick.js';

export interface AttachedSession extends Disposable {
  /** The kernel's list has grown, says the agent. */
  growth(): void;
  evidence(wire: TickEvidence): void;
  part(wire: WirePart): void;
  tickNow(): void;
  /** Evidence that is asked for from now on; whether it came in time. */
  fresh(withinMs: number): Promise<boolean>;
  /** The policy in force may be another. What is kept of the host is judged by it, and asked for no sooner than else. */
  policyChanged(): void;
}

export function attachSession(room: Room, port: SessionPort): AttachedSession {
  const state: SessionState = {
    room,
    port,
    seq: 0,
    asking: false,
    underWay: undefined,
    again: false,
    lastTickAt: Number.NEGATIVE_INFINITY,
    waiters: [],
    unanswered: 0,
    over: false,
    cancelNext: () => {},
    cancelSoon: undefined,
    cancelDeadline: () => {},
    cancelStale: undefined,
  };
  planTicks(state);
  watchFreshness(state);
  return {
    growth: () => soon(state),
    tickNow: () => soon(state),
    evidence: (wire) => takeEvidence(state, wire),
    part: (wire) => takePart(state, wire),
    fresh: (withinMs) => fresh(state, withinMs),
    policyChanged: () => port.standing(),
    [Symbol.dispose]: () => detach(state),
  };
}

function detach(state: SessionState): void {
  state.over = true;
  for (const cancel of [state.cancelNext, state.cancelSoon, state.cancelDeadline, state.cancelStale])
    cancel?.();
  const gone = new TouchmarkError('evidence_late', 'the session ended before its evidence was whole');
  state.underWay?.pulling?.failed(gone);
  for (const settleOne of [...state.waiters, ...(state.underWay?.waiters ?? [])]) settleOne(false);
  state.waiters = [];
}

/** At once when nothing recent is known; then at this host's place within the interval, so that ticks spread out. */
function planTicks(state: SessionState): void {
  const { room, port } = state;
  const intervalMs = room.config.tickInterval * 1000;
  const phase = Number.parseInt(port.hostId.slice(0, 8), 16) % intervalMs;
  const next = () => {
    const delay = intervalMs - ((room.clock.now() - phase + intervalMs) % intervalMs);
    state.cancelNext = room.clock.after(delay, () => {
      next();
      ask(state);
    });
  };
  next();
  if (room.hearing.age(port.hostId) >= intervalMs) ask(state);
}

/** At most once in a while: what asks for ticks is an agent's word. */
function soon(state: SessionState): void {
  if (state.over || state.cancelSoon !== undefined) return;
  const wait = state.lastTickAt + measureTimes.growthMs - state.room.clock.monotonic();
  if (wait <= 0) {
    ask(state);
    return;
  }
  state.cancelSoon = state.room.clock.after(wait, () => {
    state.cancelSoon = undefined;
    ask(state);
  });
}

function ask(state: SessionState): void {
  if (state.over) return;
  if (state.asking || state.underWay !== undefined) {
    state.again = true;
    return;
  }
  const { room, port } = state;
  if (room.memory.has(port.hostId)) {
    sendTick(state);
    return;
  }
  const host = room.registry.host(port.hostId);
  if (host === undefined) return;
  state.asking = true;
  const recalled = room.lane(host.id).run(() => recall(room, host.id, host.akName));
  void recalled.then(
    () => {
      state.asking = false;
      if (!state.over) sendTick(state);
    },
    (error: unknown) => port.fail(notJudged(error)),
  );
}

function sendTick(state: SessionState): void {
  const { room, port } = state;
  const host = room.registry.host(port.hostId);
  const waiters = state.waiters.splice(0);
  if (host?.akPublic === undefined) {
    // It attested before its key was kept; its next attestation is not far.
    for (const settleOne of waiters) settleOne(false);
    return;
  }
  const remembered = room.memory.get(host.id);
  const known = remembered?.akName === host.akName ? remembered : undefined;
  state.seq += 1;
  const tick = askTick(state.seq, host, known, room.config, room.clock.now());
  state.underWay = { tick, answered: false, waiters };
  state.again = false;
  state.lastTickAt = room.clock.monotonic();
  state.cancelDeadline = room.clock.after(measureTimes.answerMs, () => {
    if (state.underWay?.tick !== tick || state.underWay.answered) return;
    state.unanswered += 1;
    finish(state, false);
  });
  port.send(create(ServerMessageSchema, { message: { case: 'tick', value: tick.bytes } }));
}

function finish(state: SessionState, came: boolean): void {
  const waiters = state.underWay?.waiters ?? [];
  state.cancelDeadline();
  state.underWay = undefined;
  for (const settleOne of waiters) settleOne(came);
  if (state.again || state.waiters.length > 0) soon(state);
}

function fresh(state: SessionState, withinMs: number): Promise<boolean> {
  if (state.over) return Promise.resolve(false);
  return new Promise((resolve) => {
    const cancel = state.room.clock.after(withinMs, () => resolve(false));
    state.waiters.push((came) => {
      cancel();
      resolve(came);
    });
    // Those who ask in the same turn share a tick; one that is under way was quoted before they asked.
    queueMicrotask(() => soon(state));
  });
}

function takeEvidence(state: SessionState, wire: TickEvidence): void {
  const { underWay, port } = state;
  if (Number(wire.seq) < (underWay?.tick.seq ?? state.seq + 1) && state.unanswered > 0) {
    // An answer to a tick whose time is over is nothing worse than late.
    state.unanswered -= 1;
    return;
  }
  if (underWay === undefined || underWay.answered || Number(wire.seq) !== underWay.tick.seq) {
    port.fail(new TouchmarkError('evidence_unexpected', `evidence ${wire.seq} was not asked for`));
    return;
  }
  underWay.answered = true;
  state.cancelDeadline();
  judgeEvidence(state, underWay, wire).then(
    () => {
      if (!state.over) finish(state, true);
    },
    (error: unknown) => refuse(state, error),
  );
}

/**
 * Evidence that cannot be believed counts as none: the host is not fresh before better comes. What fails here says nothing of
 * the host, which is asked again in its time; until then it is as fresh as its last good evidence.
 */
function refuse(state: SessionState, error: unknown): void {
  // Another session may have begun since: what was cut off with this one is nothing against it.
  if (state.over) return;
  const { room, port } = state;
  const fields = { host_id: port.hostId, error: messageOf(error) };
  if (isOurs(error)) {
    room.log.error('evidence of a host could not be judged or kept', fields);
    // Read back from the disk, in case that what is remembered is not what lies there.
    if (hasCode(error, 'write_contended', 'archive_incomplete')) room.memory.delete(port.hostId);
    finish(state, false);
    return;
  }
  room.hearing.forget(port.hostId);
  room.log.warn('evidence of a host was refused', fields);
  port.standing();
  port.fail(notJudged(error));
}

/** Load, a disk, a thread, or a fault of ours. */
function isOurs(error: unknown): boolean {
  return !(error instanceof TouchmarkError) || ourFailures.has(error.rpc);
}

const ourFailures: ReadonlySet<RpcCode> = new Set([
  'ABORTED',
  'DATA_LOSS',
  'INTERNAL',
  'RESOURCE_EXHAUSTED',
  'UNAVAILABLE',
]);
