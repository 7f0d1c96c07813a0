/** The states of a host: what each permits, and the one function that moves a host from one to another. Pure. */
import type { ErrorCode } from '../../errors.js';
import { TouchmarkError } from '../../errors.js';
import type { Host, HostState, Node, Reason } from '../model.js';

/** What the agent's host may have, state by state. `stale` is never stored: it is derived from the session. */
interface StateRow {
  /** New SVIDs, whoever asks and by whichever API. */
  readonly issue: 'yes' | 'until-grace-ends' | 'no';
  /** What workloads hold is taken back at once. */
  readonly withdraw: boolean;
  readonly refusal: ErrorCode;
  readonly sentence: string;
}

/** docs/architecture.md, "What a state permits". */
export const stateTable: Readonly<Record<HostState, StateRow>> = {
  trusted: { issue: 'yes', withdraw: false, refusal: 'node_stale', sentence: 'is trusted' },
  unmeasured: { issue: 'yes', withdraw: false, refusal: 'node_stale', sentence: 'is not measured' },
  suspect: {
    issue: 'until-grace-ends',
    withdraw: false,
    refusal: 'host_suspect',
    sentence: 'is suspect and its grace has ended',
  },
  pending: { issue: 'no', withdraw: false, refusal: 'host_pending', sentence: 'waits for an operator' },
  stale: { issue: 'no', withdraw: false, refusal: 'node_stale', sentence: 'has no live session' },
  drifted: { issue: 'no', withdraw: true, refusal: 'host_drifted', sentence: 'has drifted from its policy' },
  quarantined: { issue: 'no', withdraw: true, refusal: 'host_quarantined', sentence: 'is in quarantine' },
  banned: { issue: 'no', withdraw: true, refusal: 'host_banned', sentence: 'is banned' },
  retired: { issue: 'no', withdraw: true, refusal: 'host_retired', sentence: 'is retired' },
};

export interface IssuanceFacts {
  readonly node: Node;
  /** The record of `node.hostId`; undefined when it is gone. */
  readonly host: Host | undefined;
  /** Whether the node has a live session at this moment. */
  readonly sessionLive: boolean;
  /** Unix milliseconds. */
  readonly now: number;
}

/**
 * Whether new SVIDs may be issued to (or for the workloads of) a node now. Called by every RPC that issues or that
 * hands out entries. Does not establish that the caller is this node, nor that its serial is the current one.
 * @throws TouchmarkError with the refusal's own code, see `stateTable`; `agent_banned` for a banned node
 */
export function checkIssuance(facts: IssuanceFacts): void {
  const refusal = issuanceRefusal(facts);
  if (refusal !== undefined) throw refusal;
}

/** As `checkIssuance`, for those who tell the reason instead of failing with it. */
export function issuanceRefusal(facts: IssuanceFacts): TouchmarkError | undefined {
  const { node, host, now } = facts;
  if (node.banned) return new TouchmarkError('agent_banned', `node ${node.id} is banned`);
  if (node.attestationType !== 'tpm') return undefined;
  if (host === undefined)
    return new TouchmarkError('host_unknown', `the host of node ${node.id} is not known`);
  return hostRefusal(host, now) ?? (facts.sessionLive ? undefined : stale(node));
}

/** Whether a host's own state forbids SVIDs; a live session is not asked for, since an attestation comes before it. */
export function hostRefusal(host: Host, now: number): TouchmarkError | undefined {
  const row = stateTable[host.state];
  if (row.issue === 'yes') return undefined;
  if (row.issue === 'until-grace-ends' && now < host.graceEndsAt) return undefined;
  const why = host.reasons.map((reason) => reason.message).join('; ');
  return new TouchmarkError(row.refusal, `host ${host.id} ${row.sentence}${why === '' ? '' : `: ${why}`}`);
}

/** The state as every reader shows it: the stored one, or `stale` when nothing is heard from a host that may be served. */
export function shownState(host: Host, sessionLive: boolean): HostState {
  return stateTable[host.state].issue !== 'no' && !sessionLive ? 'stale' : host.state;
}

/** What can happen to a host. */
export type HostChange =
  /** It attested; `suspicions` are what its counters say, and empty for a clean one. */
  | { readonly kind: 'attested'; readonly suspicions: readonly Reason[]; readonly graceMs: number }
  | { readonly kind: 'suspected'; readonly suspicions: readonly Reason[]; readonly graceMs: number }
  | { readonly kind: 'quarantined'; readonly reason: Reason }
  | { readonly kind: 'banned'; readonly reason: Reason }
  | { readonly kind: 'retired'; readonly reason: Reason }
  /** An operator looked and lets it go on. */
  | { readonly kind: 'released' };

const refusedByHand: Readonly<
  Record<'quarantined' | 'banned' | 'retired' | 'released', readonly HostState[]>
> = {
  quarantined: ['banned', 'retired'],
  banned: ['retired'],
  retired: [],
  released: ['retired', 'pending'],
};

/**
 * The one transition function. Suspicion, drift, quarantine and ban outlive any number of clean attestations and
 * restarts: only an operator's release ends them, and a grace that runs is never prolonged by what the host does.
 * @throws TouchmarkError a refusal when a host attests in a state that permits nothing; `host_state_conflict` when an
 *   operator asks for a change that this state does not allow
 */
export function transition(host: Host, change: HostChange, now: number): Host {
  switch (change.kind) {
    case 'attested': {
      const refusal = hostRefusal(host.state === 'pending' ? { ...host, state: 'unmeasured' } : host, now);
      if (refusal !== undefined) throw refusal;
      if (change.suspicions.length > 0) return suspect(host, change.suspicions, change.graceMs, now);
      // No policy appraises evidence yet: a host that attested cleanly is unmeasured, never trusted.
      return host.state === 'suspect' || host.state === 'trusted' ? host : enter(host, 'unmeasured', [], now);
    }
    case 'suspected':
      return stateTable[host.state].issue === 'no'
        ? host
        : suspect(host, change.suspicions, change.graceMs, now);
    case 'quarantined':
    case 'banned':
    case 'retired':
      checkAllowed(host, change.kind);
      return enter(host, change.kind, [change.reason], now);
    case 'released':
      checkAllowed(host, 'released');
      return enter(host, 'unmeasured', [], now);
  }
}

function suspect(host: Host, suspicions: readonly Reason[], graceMs: number, now: number): Host {
  if (host.state === 'suspect') return { ...host, reasons: joinReasons(host.reasons, suspicions) };
  return { ...enter(host, 'suspect', suspicions, now), graceEndsAt: now + graceMs };
}

function enter(host: Host, state: HostState, reasons: readonly Reason[], now: number): Host {
  const stateSince = host.state === state ? host.stateSince : now;
  return { ...host, state, stateSince, reasons, graceEndsAt: 0 };
}

function joinReasons(before: readonly Reason[], added: readonly Reason[]): readonly Reason[] {
  const known = new Set(before.map((reason) => reason.code));
  return [...before, ...added.filter((reason) => !known.has(reason.code))];
}

function checkAllowed(host: Host, change: keyof typeof refusedByHand): void {
  if (!refusedByHand[change].includes(host.state)) return;
  throw new TouchmarkError('host_state_conflict', `host ${host.id} is ${host.state} and cannot be ${change}`);
}

function stale(node: Node): TouchmarkError {
  return new TouchmarkError('node_stale', `node ${node.id} has no live session`);
}
