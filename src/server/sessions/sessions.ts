/**
 * The sessions of all nodes. A change of the registry reaches only the sessions that it touches; while nothing changes,
 * an open session costs its heartbeats.
 */
import { MEASUREMENT_FEATURE } from '../../attest/logs.js';
import { TouchmarkError } from '../../errors.js';
import type { SpiffeId } from '../../spiffe/id.js';
import type {
  AgentHello,
  AgentMessage,
  ServerMessage,
} from '../../wire/gen/touchmark/session/v1/session_pb.js';
import type { RegistryChange } from '../contract.js';
import { tpmNodeId } from '../hosts/selectors.js';
import { sizeOfCrls } from './bundles.js';
import { type SessionCall, type Sessions, type SessionsDeps, sessionLimits } from './contract.js';
import { readHello, readMessages } from './incoming.js';
import { changesSets, createSessionMemory, type SessionMemory } from './memory.js';
import { overlapFrom } from './overlap.js';
import { createSpread } from './spread.js';
import { endSession, type LiveSession, mark, newSession, type SessionTable, streamOf } from './stream.js';
import { watchTimes } from './times.js';

export function createSessions(deps: SessionsDeps): Sessions {
  const table: SessionTable = { current: new Map(), live: new Set(), older: new Map() };
  const { registry, epoch } = deps;
  const memory = createSessionMemory(epoch, registry.revision, sessionLimits.rememberedEntries);
  const { crls, clock } = deps;
  const crlBytes = () => sizeOfCrls(crls?.current() ?? []);
  const spread = createSpread<LiveSession>(clock, sessionLimits.crlBytesPerSecond, crlBytes, (session) =>
    mark(session, 'bundles'),
  );
  const unsubscribe = [
    registry.onChange((change) => {
      memory.note(change);
      applyChange(deps, table, change);
    }),
    deps.authority.onChange(() => {
      for (const session of table.current.values()) mark(session, 'bundles');
    }),
    crls?.onChange(() => spread.begin(table.current.values())) ?? (() => {}),
  ];
  return {
    open: (requests, call) => runSession(deps, table, memory, requests, call),
    isLive: (nodeId) => {
      const node = registry.node(nodeId);
      return table.current.has(nodeId) && node !== undefined && deps.measuring.isFresh(node);
    },
    get count() {
      let older = 0;
      for (const sessions of table.older.values()) older += sessions.length;
      return table.current.size + older;
    },
    [Symbol.dispose]() {
      for (const stop of unsubscribe) stop();
      spread[Symbol.dispose]();
      for (const session of table.current.values()) endSession(session, 'done');
      for (const sessions of table.older.values())
        for (const session of sessions) endSession(session, 'done');
    },
  };
}

async function* runSession(
  deps: SessionsDeps,
  table: SessionTable,
  memory: SessionMemory,
  requests: AsyncIterable<AgentMessage>,
  call: SessionCall,
): AsyncGenerator<ServerMessage, void, undefined> {
  const incoming = requests[Symbol.asyncIterator]();
  const hello = await readHello(deps.clock, incoming, call.signal);
  checkInForce(deps, call);
  const session = join(deps, table, memory, hello, call);
  try {
    // Not awaited: it ends when the call does, and says so through the session.
    void readMessages(deps, table, session, incoming);
    yield* streamOf(deps, session);
  } finally {
    leave(table, memory, session);
  }
}

/** Asked again here: between the look-up of the caller and its hello an attestation may have ended its SVID. */
function checkInForce(deps: SessionsDeps, call: SessionCall): void {
  const why = reasonToEnd(deps, call);
  if (why !== undefined) throw why;
}

function reasonToEnd({ registry }: SessionsDeps, call: SessionCall): TouchmarkError | undefined {
  const { nodeId, serial } = call;
  const node = registry.node(nodeId);
  if (node === undefined) return new TouchmarkError('agent_not_attested', `agent ${nodeId} is not attested`);
  if (node.banned) return new TouchmarkError('agent_banned', `agent ${nodeId} is banned`);
  if (serial === node.serial || serial === node.nextSerial) return undefined;
  return new TouchmarkError('session_svid_ended', `a newer SVID of ${nodeId} took the place of ${serial}`);
}

/** From here on the node is live. A stream that it had before, with the same SVID, is kept under watch only. */
function join(
  deps: SessionsDeps,
  table: SessionTable,
  memory: SessionMemory,
  hello: AgentHello,
  call: SessionCall,
): LiveSession {
  const now = deps.clock.now();
  const session = newSession(call, now);
  supersede(table, call.nodeId, now);
  table.current.set(call.nodeId, session);
  table.live.add(call.nodeId);
  const position = { epoch: hello.epoch, revision: Number(hello.revision) };
  session.held = memory.resume(call.nodeId, position, deps.registry.authorizedEntries(call.nodeId));
  watchTimes(deps, session);
  measure(deps, session, hello);
  return session;
}

/** An agent that does not answer ticks is asked for none; what that costs it is for its policy to say. */
function measure({ measuring, registry }: SessionsDeps, session: LiveSession, hello: AgentHello): void {
  const hostId = registry.node(session.call.nodeId)?.hostId;
  if (hostId === undefined || !hello.features.includes(MEASUREMENT_FEATURE)) return;
  const attached = measuring.attach({
    hostId,
    send(message) {
      session.outbox.push(message);
      session.wake();
    },
    fail: (error) => endSession(session, error),
    standing: () => mark(session, 'standing'),
  });
  session.measuring = attached;
  session.cleanups.push(() => attached[Symbol.dispose]());
}

function supersede(table: SessionTable, nodeId: SpiffeId, now: number): void {
  const before = table.current.get(nodeId);
  if (before === undefined) return;
  before.overlap = overlapFrom(now);
  before.measuring?.[Symbol.dispose]();
  before.measuring = undefined;
  const older = [before, ...(table.older.get(nodeId) ?? [])];
  for (const session of older.splice(sessionLimits.olderSessions)) endSession(session, replaced(session));
  table.older.set(nodeId, older);
}

function leave(table: SessionTable, memory: SessionMemory, session: LiveSession): void {
  const { nodeId } = session.call;
  session.end ??= 'done';
  for (const cleanup of session.cleanups) cleanup();
  if (table.current.get(nodeId) === session) dropCurrent(table, nodeId);
  const older = (table.older.get(nodeId) ?? []).filter((other) => other !== session);
  if (older.length === 0) table.older.delete(nodeId);
  else table.older.set(nodeId, older);
  if (session.held !== undefined && session.revision > 0 && session.overlap === undefined) {
    memory.remember(nodeId, session.revision, session.held);
  }
}

function applyChange(deps: SessionsDeps, table: SessionTable, change: RegistryChange): void {
  if (table.current.size === 0) return;
  const entries = change.entries.flatMap(({ before, after }) => [before ?? [], after ?? []].flat());
  if (entries.length > 0) {
    for (const nodeId of deps.registry.nodesTouchedBy(entries, table.live)) touch(table, nodeId, 'entries');
  }
  for (const { before, after } of change.nodes) {
    const nodeId = (after ?? before)?.id;
    if (nodeId === undefined || !table.current.has(nodeId)) continue;
    endOutdated(deps, table, nodeId);
    touch(table, nodeId, 'standing');
    if (changesSets({ ...(before && { before }), ...(after && { after }) })) touch(table, nodeId, 'entries');
  }
  for (const { before, after } of change.hosts) {
    const hostId = (after ?? before)?.id;
    if (hostId !== undefined) touch(table, tpmNodeId(deps.trustDomain, hostId), 'standing');
  }
}

function touch(table: SessionTable, nodeId: SpiffeId, what: 'entries' | 'standing'): void {
  const session = table.current.get(nodeId);
  if (session !== undefined) mark(session, what);
}

function dropCurrent(table: SessionTable, nodeId: SpiffeId): void {
  table.current.delete(nodeId);
  table.live.delete(nodeId);
}

/** A session ends with the SVID that opened it; from that moment on it counts for nothing. */
function endOutdated(deps: SessionsDeps, table: SessionTable, nodeId: SpiffeId): void {
  const current = table.current.get(nodeId);
  const sessions = [...(current === undefined ? [] : [current]), ...(table.older.get(nodeId) ?? [])];
  for (const session of sessions) {
    const why = reasonToEnd(deps, session.call);
    if (why === undefined) continue;
    endSession(session, why);
    if (session === current) dropCurrent(table, nodeId);
  }
}

export function replaced(session: LiveSession): TouchmarkError {
  return new TouchmarkError('session_replaced', `${session.call.nodeId} opened a newer session`);
}
