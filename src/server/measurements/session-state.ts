/** What the measuring of one session remembers. */
import type { SentLogPart } from '../../attest/logs.js';
import type { TouchmarkError } from '../../errors.js';
import type { ServerMessage } from '../../wire/gen/touchmark/session/v1/session_pb.js';
import { freshMs } from './limits.js';
import type { Room } from './room.js';
import type { AskedTick } from './tick.js';

/** A session, as the measuring of its node sees it. */
export interface SessionPort {
  readonly hostId: string;
  send(message: ServerMessage): void;
  /** Ends the session. */
  fail(error: TouchmarkError): void;
  /** What the node may have can be another thing now. */
  standing(): void;
}

export type Settle = (came: boolean) => void;

export interface UnderWay {
  readonly tick: AskedTick;
  answered: boolean;
  readonly waiters: Settle[];
  pulling?: { done(part: SentLogPart): void; failed(error: unknown): void };
}

export interface SessionState {
  readonly room: Room;
  readonly port: SessionPort;
  seq: number;
  asking: boolean;
  underWay: UnderWay | undefined;
  again: boolean;
  /** By the monotonic clock. */
  lastTickAt: number;
  waiters: Settle[];
  /** Ticks whose time was over before their answer came. */
  unanswered: number;
  over: boolean;
  cancelNext: () => void;
  cancelSoon: (() => void) | undefined;
  cancelDeadline: () => void;
  cancelStale: (() => void) | undefined;
}

/** One timer at a time: when evidence grows old, the node's standing is looked at again. */
export function watchFreshness(state: SessionState): void {
  if (state.cancelStale !== undefined || state.over) return;
  const { room, port } = state;
  const longest = freshMs(room.config.tickInterval);
  const age = room.hearing.age(port.hostId);
  if (age === Number.POSITIVE_INFINITY) return;
  state.cancelStale = room.clock.after(Math.max(1, longest + 1 - age), () => {
    state.cancelStale = undefined;
    if (room.hearing.age(port.hostId) > longest) port.standing();
    else watchFreshness(state);
  });
}
