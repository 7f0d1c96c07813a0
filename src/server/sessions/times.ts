import { TouchmarkError } from '../../errors.js';
import { type SessionsDeps, sessionTimes } from './contract.js';
import { endSession, type LiveSession, mark } from './stream.js';

/** The times at which a session ends by itself: its SVID's end, its call's end, silence. */
export function watchTimes(deps: SessionsDeps, session: LiveSession): void {
  const { clock } = deps;
  const { call } = session;
  const untilEnd = call.svidExpiresAt * 1000 - clock.now();
  const message = `the SVID with which ${call.nodeId} opened this session has ended`;
  const svidEnds = () => endSession(session, new TouchmarkError('session_svid_ended', message));
  session.cleanups.push(clock.after(untilEnd, svidEnds));
  const over = () => endSession(session, 'done');
  if (call.signal.aborted) over();
  call.signal.addEventListener('abort', over);
  session.cleanups.push(() => call.signal.removeEventListener('abort', over));
  watchSilence(deps, session);
  watchGrace(deps, session);
}

/** One timer at a time, set for the moment at which the agent would have been silent for too long; a message moves nothing. */
function watchSilence({ clock }: SessionsDeps, session: LiveSession): void {
  const allowed = sessionTimes.heartbeatMs * sessionTimes.missedHeartbeats;
  let cancel = () => {};
  const look = () => {
    const left = session.heardAt + allowed - clock.now();
    if (left > 0) {
      cancel = clock.after(left, look);
      return;
    }
    const seconds = Math.round(allowed / 1000);
    endSession(
      session,
      new TouchmarkError('session_silent', `${session.call.nodeId} was silent for ${seconds} seconds`),
    );
  };
  look();
  session.cleanups.push(() => cancel());
}

/** When a suspect host's grace ends, its agent is told. */
function watchGrace({ clock, registry }: SessionsDeps, session: LiveSession): void {
  let cancel = () => {};
  let armedFor = 0;
  const arm = () => {
    const hostId = registry.node(session.call.nodeId)?.hostId;
    const graceEndsAt = hostId === undefined ? 0 : (registry.host(hostId)?.graceEndsAt ?? 0);
    if (graceEndsAt === armedFor) return;
    cancel();
    armedFor = graceEndsAt;
    if (graceEndsAt > clock.now())
      cancel = clock.after(graceEndsAt - clock.now(), () => mark(session, 'standing'));
  };
  arm();
  session.onStanding = arm;
  session.cleanups.push(() => cancel());
}
