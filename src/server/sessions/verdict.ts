/** What a session says of the node's own standing. Pure. */
import { create } from '@bufbuild/protobuf';
import { HostState as WireState } from '../../wire/gen/touchmark/host/v1/state_pb.js';
import { type ServerMessage, ServerMessageSchema } from '../../wire/gen/touchmark/session/v1/session_pb.js';
import { issuanceRefusal, shownState, stateTable } from '../hosts/state.js';
import type { Host, HostState, Node, Reason } from '../model.js';

export const wireStates: Readonly<Record<HostState, WireState>> = {
  pending: WireState.PENDING,
  trusted: WireState.TRUSTED,
  unmeasured: WireState.UNMEASURED,
  suspect: WireState.SUSPECT,
  stale: WireState.STALE,
  drifted: WireState.DRIFTED,
  quarantined: WireState.QUARANTINED,
  banned: WireState.BANNED,
  retired: WireState.RETIRED,
};

export interface Standing {
  readonly state: HostState;
  readonly reasons: readonly Reason[];
  /** Entries and SVIDs are given out. */
  readonly served: boolean;
  /** What is held is taken back. */
  readonly withdrawn: boolean;
  /** Unix seconds, 0: none. */
  readonly reattestAt: number;
  /** Unix milliseconds, 0: none. */
  readonly graceEndsAt: number;
}

interface StandingFacts {
  readonly node: Node;
  readonly host: Host | undefined;
  /** Whether its evidence is recent, where its policy asks for evidence. */
  readonly fresh: boolean;
  readonly now: number;
  /** Seconds. */
  readonly reattestInterval: number;
}

/** A node without a host has nothing that could be measured, and is told so. */
export function standingOf({ node, host, fresh, now, reattestInterval }: StandingFacts): Standing {
  const stored = node.banned ? 'banned' : (host?.state ?? 'unmeasured');
  const state = host !== undefined && !node.banned ? shownState(host, fresh) : stored;
  const attestedAt = Math.floor((host?.attestedAt ?? host?.lastQuote?.at ?? 0) / 1000);
  return {
    state,
    reasons: state === 'stale' ? [noEvidence] : reasonsOf(node, host),
    served: issuanceRefusal({ node, host, sessionLive: fresh, now }) === undefined,
    withdrawn: stateTable[state].withdraw,
    reattestAt: attestedAt === 0 || reattestInterval === 0 ? 0 : attestedAt + reattestInterval,
    graceEndsAt: host?.graceEndsAt ?? 0,
  };
}

const noEvidence: Reason = { code: 'evidence_old', message: 'no recent evidence of it was judged' };

/** A host says why itself; a banned node without one has no other record of it. */
function reasonsOf(node: Node, host: Host | undefined): readonly Reason[] {
  const known = host?.reasons ?? [];
  if (!node.banned || known.length > 0) return known;
  return [{ code: 'agent_banned', message: 'an operator banned this agent' }];
}

export function verdictMessage(standing: Standing): ServerMessage {
  const value = {
    state: wireStates[standing.state],
    reasons: standing.reasons.map(({ code, message }) => ({ code, message })),
    reattestAt: BigInt(standing.reattestAt),
    graceEndsAt: BigInt(Math.ceil(standing.graceEndsAt / 1000)),
  };
  return create(ServerMessageSchema, { message: { case: 'verdict', value } });
}

export function withdrawMessage(reasons: readonly Reason[]): ServerMessage {
  const value = { reasons: reasons.map(({ code, message }) => ({ code, message })) };
  return create(ServerMessageSchema, { message: { case: 'withdraw', value } });
}

/** Equal when an agent would be told the same. */
export function sameStanding(a: Standing, b: Standing): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
