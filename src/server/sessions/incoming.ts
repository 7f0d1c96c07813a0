/** The agent's half of a session: hello once, then heartbeats, and now and then "send it all again". */
import type { Clock } from '../../clock.js';
import { messageOf, TouchmarkError } from '../../errors.js';
import type { AgentHello, AgentMessage } from '../../wire/gen/touchmark/session/v1/session_pb.js';
import type { AttachedSession } from '../measurements/attached.js';
import type { Reason } from '../model.js';
import { type SessionsDeps, sessionLimits, sessionTimes } from './contract.js';
import { overlapHeard } from './overlap.js';
import { endSession, type LiveSession, mark, type SessionTable } from './stream.js';

/** @throws TouchmarkError `session_hello_missing` */
export function readHello(
  clock: Clock,
  incoming: AsyncIterator<AgentMessage>,
  signal: AbortSignal,
): Promise<AgentHello> {
  return new Promise((resolve, reject) => {
    const seconds = sessionTimes.helloMs / 1000;
    const refuse = (why: string) => reject(new TouchmarkError('session_hello_missing', why));
    const cancel = clock.after(sessionTimes.helloMs, () => refuse(`no hello came within ${seconds} seconds`));
    const onAbort = () => refuse('the call ended before its hello');
    signal.addEventListener('abort', onAbort, { once: true });
    const stop = () => {
      cancel();
      signal.removeEventListener('abort', onAbort);
    };
    incoming.next().then(
      (first) => {
        stop();
        if (first.done !== true && first.value.message.case === 'hello') resolve(first.value.message.value);
        else refuse('the first message of a session is not hello');
      },
      (error: unknown) => {
        stop();
        reject(error);
      },
    );
  });
}

/** Until the agent half-closes, breaks off or says what it may not; the session is told which. Never rejects. */
export async function readMessages(
  deps: SessionsDeps,
  table: SessionTable,
  session: LiveSession,
  incoming: AsyncIterator<AgentMessage>,
): Promise<void> {
  try {
    while (session.end === undefined) {
      const next = await incoming.next();
      if (next.done === true) return endSession(session, 'done');
      heard(deps, session, next.value);
      react(deps, session, next.value);
      if (session.overlap !== undefined) judgeOverlap(deps, table, session);
    }
  } catch (error) {
    endSession(session, error instanceof TouchmarkError ? error : broken(session, error));
  }
}

function heard({ clock }: SessionsDeps, session: LiveSession, { message }: AgentMessage): void {
  const now = clock.now();
  session.heardAt = now;
  // These answer what was asked; such as do not end the session at once.
  if (message.case === 'evidence' || message.case === 'logPart') return;
  if (now - session.intervalAt >= sessionTimes.heartbeatMs) {
    session.intervalAt = now;
    session.heardCount = 0;
  }
  session.heardCount += 1;
  if (session.heardCount <= sessionLimits.messagesPerInterval) return;
  throw new TouchmarkError(
    'session_flooded',
    `${session.call.nodeId} sends more messages than a session needs`,
  );
}

function react({ clock }: SessionsDeps, session: LiveSession, { message }: AgentMessage): void {
  switch (message.case) {
    case 'heartbeat':
      mark(session, 'heartbeat');
      return;
    case 'failure': {
      if (session.failedAt !== 0 && clock.now() - session.failedAt < sessionTimes.failureMs) {
        throw new TouchmarkError(
          'session_flooded',
          `${session.call.nodeId} asks for everything again and again`,
        );
      }
      session.failedAt = clock.now();
      session.held = undefined;
      session.sentBundles = [];
      mark(session, 'entries');
      return;
    }
    case 'growth':
      session.measuring?.growth();
      return;
    case 'evidence':
      measured(session).evidence(message.value);
      return;
    case 'logPart':
      measured(session).part(message.value);
      return;
    case 'hello':
      throw new TouchmarkError('session_hello_missing', 'hello came a second time');
    case undefined:
      // A message of a later version: it counts as a sign of life.
      return;
  }
}

/** @throws TouchmarkError `evidence_unexpected` from an agent that was never asked */
function measured({ measuring, overlap, call }: LiveSession): Pick<AttachedSession, 'evidence' | 'part'> {
  if (measuring !== undefined) return measuring;
  // The older one of two streams may have been asked before the newer one came.
  if (overlap !== undefined) return { evidence() {}, part() {} };
  throw new TouchmarkError('evidence_unexpected', `${call.nodeId} sends evidence that was not asked for`);
}

/** This stream is the older one of two; if it is as alive as the newer one, two agents hold one key. */
function judgeOverlap(deps: SessionsDeps, table: SessionTable, session: LiveSession): void {
  const newer = table.current.get(session.call.nodeId);
  if (session.overlap === undefined || newer === undefined) return;
  const { overlap, proved } = overlapHeard(session.overlap, deps.clock.now());
  session.overlap = overlap;
  if (!proved) return;
  const { nodeId, address } = session.call;
  deps.onEvent({ name: 'node_seen_twice', nodeId, addresses: [address, newer.call.address] });
  const hostId = deps.registry.node(nodeId)?.hostId;
  if (hostId !== undefined) void suspectHost(deps, session, hostId);
  endSession(
    session,
    new TouchmarkError('session_replaced', `${nodeId} has a newer session that is alive too`),
  );
}

async function suspectHost(deps: SessionsDeps, session: LiveSession, hostId: string): Promise<void> {
  const reason: Reason = {
    code: 'cloned-or-cleared',
    message: 'two sessions of one node were alive at once',
  };
  try {
    await deps.suspect(hostId, [reason]);
  } catch (error) {
    endSession(session, broken(session, error));
  }
}

function broken(session: LiveSession, error: unknown): TouchmarkError {
  return new TouchmarkError(
    'session_broken',
    `the session of ${session.call.nodeId} broke: ${messageOf(error)}`,
    {
      cause: error,
    },
  );
}
