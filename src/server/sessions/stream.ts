/**
 * One session: what its agent holds, what has changed since it was told, and the messages that follow from that. Changes
 * are flags, not queues: however long an agent does not read, one delta waits for it.
 */
import { create } from '@bufbuild/protobuf';
import type { TouchmarkError } from '../../errors.js';
import type { Bundle } from '../../spiffe/bundle.js';
import type { SpiffeId } from '../../spiffe/id.js';
import { bundleToWire } from '../../wire/bundle.js';
import { type ServerMessage, ServerMessageSchema } from '../../wire/gen/touchmark/session/v1/session_pb.js';
import type { AttachedSession } from '../measurements/attached.js';
import { boundBundles, sameItems, sizeOfCrls } from './bundles.js';
import { type SessionCall, type SessionsDeps, sessionLimits } from './contract.js';
import { type Delta, deltaOf, entriesMessages, federatedDomains, type Held, isEmpty } from './entries.js';
import type { Overlap } from './overlap.js';
import { type Standing, sameStanding, standingOf, verdictMessage, withdrawMessage } from './verdict.js';

/** What has to be looked at again before the agent is up to date. */
export interface Pending {
  entries: boolean;
  bundles: boolean;
  standing: boolean;
  heartbeat: boolean;
}

export interface LiveSession {
  readonly call: SessionCall;
  readonly pending: Pending;
  /** Entries that were sent; undefined: the agent gets everything. */
  held: Held | undefined;
  /** The revision that `held` is of; 0 before the first message. */
  revision: number;
  sentBundles: readonly Bundle[];
  sentCrls: readonly Uint8Array[];
  sentStanding: Standing | undefined;
  heardAt: number;
  /** Messages since the interval began. */
  heardCount: number;
  intervalAt: number;
  failedAt: number;
  /** Messages of measuring that wait to be sent: one at a time is ever under way. */
  readonly outbox: ServerMessage[];
  /** Only nodes with a host, whose agents answer ticks, are measured. */
  measuring: AttachedSession | undefined;
  /** Set once a newer stream of this node took its place. */
  overlap: Overlap | undefined;
  /** Why it is over. */
  end: TouchmarkError | 'done' | undefined;
  /** Called when the node's standing may have changed. */
  onStanding: () => void;
  /** Called when there is something to do. */
  wake: () => void;
  readonly cleanups: (() => void)[];
}

/** The session in force of each node, and what is left of its earlier ones. */
export interface SessionTable {
  readonly current: Map<SpiffeId, LiveSession>;
  /** The keys of `current`, as the set that the registry asks for. */
  readonly live: Set<SpiffeId>;
  readonly older: Map<SpiffeId, LiveSession[]>;
}

export function newSession(call: SessionCall, now: number): LiveSession {
  return {
    call,
    pending: { entries: true, bundles: true, standing: true, heartbeat: false },
    held: undefined,
    revision: 0,
    sentBundles: [],
    sentCrls: [],
    sentStanding: undefined,
    heardAt: now,
    heardCount: 0,
    intervalAt: now,
    failedAt: 0,
    outbox: [],
    measuring: undefined,
    overlap: undefined,
    end: undefined,
    onStanding: () => {},
    wake: () => {},
    cleanups: [],
  };
}

export function mark(session: LiveSession, what: keyof Pending): void {
  session.pending[what] = true;
  if (what === 'standing') session.onStanding();
  session.wake();
}

export function endSession(session: LiveSession, why: TouchmarkError | 'done'): void {
  session.end ??= why;
  session.wake();
}

/** Until it is over: everything that is pending, then the next change. Throws why it ended. */
export async function* streamOf(
  deps: SessionsDeps,
  session: LiveSession,
): AsyncGenerator<ServerMessage, void> {
  while (session.end === undefined) {
    yield* pendingMessages(deps, session);
    if (session.end === undefined && !hasPending(session)) await woken(session);
  }
  const last = currentStanding(deps, session);
  if (last.withdrawn && session.sentStanding?.withdrawn !== true) yield withdrawMessage(last.reasons);
  if (session.end !== 'done') throw session.end;
}

/** Computed when they are read, and from one committed revision. */
export function* pendingMessages(deps: SessionsDeps, session: LiveSession): Generator<ServerMessage> {
  if (take(session, 'heartbeat')) yield heartbeatMessage(deps.clock.now());
  if (session.overlap !== undefined) return clearPending(session);
  yield* session.outbox.splice(0);
  if (take(session, 'standing')) yield* standingMessages(deps, session);
  if (session.sentStanding?.served !== true) return clearPending(session);
  const delta = take(session, 'entries') ? nextDelta(deps, session) : undefined;
  // A bundle comes before the entry whose identities need it.
  if (take(session, 'bundles') || delta !== undefined) yield* bundleMessages(deps, session);
  if (delta === undefined) return;
  yield* entriesMessages(
    delta,
    { epoch: deps.epoch, revision: session.revision },
    sessionLimits.messageBytes,
  );
}

function* standingMessages(deps: SessionsDeps, session: LiveSession): Generator<ServerMessage> {
  const standing = currentStanding(deps, session);
  const before = session.sentStanding;
  if (before !== undefined && sameStanding(before, standing)) return;
  session.sentStanding = standing;
  yield verdictMessage(standing);
  if (standing.withdrawn && before?.withdrawn !== true) {
    // The agent drops what it has: when it is let on again, it gets everything.
    session.held = undefined;
    session.sentBundles = [];
    session.sentCrls = [];
    yield withdrawMessage(standing.reasons);
  }
  if (standing.served && before?.served === false) {
    session.pending.entries = true;
    session.pending.bundles = true;
  }
}

/** What the agent is to be told of its entries, or undefined when it holds them; set and revision are of one commit. */
function nextDelta({ registry }: SessionsDeps, session: LiveSession): Delta | undefined {
  const now = registry.authorizedEntries(session.call.nodeId);
  const delta = deltaOf(session.held, now);
  const first = session.revision === 0;
  session.held = [...now.values()];
  if (isEmpty(delta) && !first) return undefined;
  session.revision = registry.revision;
  return delta;
}

function* bundleMessages(deps: SessionsDeps, session: LiveSession): Generator<ServerMessage> {
  const own = deps.authority.bundle();
  const wanted = federatedDomains(session.held ?? []).flatMap(
    (domain) => deps.authority.bundleOf(domain) ?? [],
  );
  const crl = deps.crls?.current() ?? [];
  const room = sessionLimits.bundlesBytes - sizeOfCrls(crl);
  const { federated, leftOut } = boundBundles(own, wanted, room);
  const now = [own, ...federated];
  if (sameItems(now, session.sentBundles) && sameItems(crl, session.sentCrls)) return;
  session.sentBundles = now;
  session.sentCrls = crl;
  if (leftOut.length > 0) {
    const fields = {
      agent_id: session.call.nodeId,
      trust_domains: leftOut.slice(0, 20),
      count: leftOut.length,
    };
    deps.log.error('the bundles of an agent are too large together: some are left out', fields);
  }
  const value = {
    own: bundleToWire(own, undefined),
    federated: federated.map((bundle) => bundleToWire(bundle, undefined)),
    crl: [...crl],
  };
  yield create(ServerMessageSchema, { message: { case: 'bundles', value } });
}

function currentStanding(deps: SessionsDeps, session: LiveSession): Standing {
  const node = deps.registry.node(session.call.nodeId);
  if (node === undefined) return evictedStanding;
  const host = node.hostId === undefined ? undefined : deps.registry.host(node.hostId);
  const fresh = deps.measuring.isFresh(node);
  return standingOf({ node, host, fresh, now: deps.clock.now(), reattestInterval: deps.reattestInterval });
}

const evictedStanding: Standing = {
  state: 'pending',
  reasons: [],
  served: false,
  withdrawn: false,
  reattestAt: 0,
  graceEndsAt: 0,
};

function heartbeatMessage(now: number): ServerMessage {
  return create(ServerMessageSchema, { message: { case: 'heartbeat', value: { serverTime: BigInt(now) } } });
}

function take(session: LiveSession, what: keyof Pending): boolean {
  const was = session.pending[what];
  session.pending[what] = false;
  return was;
}

function clearPending(session: LiveSession): void {
  Object.assign(session.pending, { entries: false, bundles: false, standing: false });
  if (session.overlap !== undefined) session.outbox.length = 0;
}

function hasPending({ pending, outbox }: LiveSession): boolean {
  return outbox.length > 0 || pending.entries || pending.bundles || pending.standing || pending.heartbeat;
}

function woken(session: LiveSession): Promise<void> {
  return new Promise((resolve) => {
    session.wake = () => {
      session.wake = () => {};
      resolve();
    };
  });
}
