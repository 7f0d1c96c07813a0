/** The states of a host: what each permits, and the one function that moves a host from one to another. Pure. */
import type { ErrorCode } from '../../errors.js';
import { TouchmarkError } from '../../errors.js';
import type { AppraisalRecord, Host, HostState, Node, Reason } from '../model.js';
import { derivedState, joinReasons, suspicionsOf } from './derive.js';

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
  stale: {
    issue: 'no',
    withdraw: false,
    refusal: 'node_stale',
    sentence: 'has no live session with recent evidence',
  },
  drifted: { issue: 'no', withdraw: true, refusal: 'host_drifted', sentence: 'has drifted from its policy' },
  quarantined: { issue: 'no', withdraw: true, refusal: 'host_quarantined', sentence: 'is in quarantine' },
  banned: { issue: 'no', withdraw: true, refusal: 'host_banned', sentence: 'is banned' },
  retired: { issue: 'no', withdraw: true, refusal: 'host_retired', sentence: 'is retired' },
};

export interface IssuanceFacts {
  readonly node: Node;
  /** The record of `node.hostId`; undefined when it is gone. */
  readonly host: Host | undefined;
  /** Whether the node has a live session at this moment, with evidence of late where its policy asks for that. */
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

/** What was judged, and what the judging knows of the host's group. */
export interface Judged {
  readonly appraisal: AppraisalRecord;
  /** When the maintenance window of its group that is open now ends; 0: none is. Unix milliseconds. */
  readonly maintenanceUntil: number;
}

/** What can happen to a host. */
export type HostChange =
  /** It attested; `suspicions` are what its counters say, and empty for a clean one. */
  | {
      readonly kind: 'attested';
      readonly suspicions: readonly Reason[];
      readonly graceMs: number;
      readonly judged?: Judged;
    }
  /** Its evidence was judged: that of a session, or what is kept of it, under another policy or at another time. */
  | {
      readonly kind: 'appraised';
      readonly suspicions: readonly Reason[];
      readonly graceMs: number;
      readonly judged: Judged;
    }
  | { readonly kind: 'suspected'; readonly suspicions: readonly Reason[]; readonly graceMs: number }
  | { readonly kind: 'quarantined'; readonly reason: Reason }
  | { readonly kind: 'banned'; readonly reason: Reason }
  | { readonly kind: 'retired'; readonly reason: Reason }
  /** An operator looked and lets it go on: suspicions end, and from then on the state follows the evidence again. */
  | { readonly kind: 'released'; readonly graceMs: number };

const refusedByHand: Readonly<
  Record<'quarantined' | 'banned' | 'retired' | 'released', readonly HostState[]>
> = {
  quarantined: ['banned', 'retired'],
  banned: ['retired'],
  retired: [],
  released: ['retired', 'pending'],
};

/** States that an operator put a host in: no evidence, however good or bad, moves it out of them. */
const byHand: ReadonlySet<HostState> = new Set(['quarantined', 'banned', 'retired']);

/**
 * The one transition function. Quarantine, ban and retirement outlive any evidence; suspicions any number of clean
 * attestations and restarts: only an operator's release ends them. Else the state follows the evidence, to drifted and
 * back, and a grace that runs is never prolonged by what the host does. What a host in the new state may have, its
 * attestation included, is for `hostRefusal` to say.
 * @throws TouchmarkError a refusal when a host attests that an operator shut out; `host_state_conflict` when an operator
 *   asks for a change that this state does not allow
 */
export function transition(host: Host, change: HostChange, now: number): Host {
  switch (change.kind) {
    case 'attested':
      if (byHand.has(host.state)) throw hostRefusal(host, now);
      return follow(host, change, now);
    case 'appraised':
      return byHand.has(host.state) ? withJudgement(host, change.judged) : follow(host, change, now);
    case 'suspected':
      return byHand.has(host.state) || host.state === 'pending' ? host : follow(host, change, now);
    case 'quarantined':
    case 'banned':
    case 'retired':
      checkAllowed(host, change.kind);
      return putInto(host, change.kind, change.reason, now);
    case 'released':
      checkAllowed(host, 'released');
      checkReleasable(host);
      return derivedState({ ...host, suspicions: [] }, now, change.graceMs);
  }
}

/**
 * Whether evidence of a host could still bring it anything: not while an operator shut it out, nor after the grace of a
 * suspicion, which only an operator ends.
 * @throws TouchmarkError the host's refusal
 */
export function mayAttest(host: Host, now: number): void {
  const settled = byHand.has(host.state) || (host.state === 'suspect' && suspicionsOf(host).length > 0);
  const refusal = settled ? hostRefusal(host, now) : undefined;
  if (refusal !== undefined) throw refusal;
}

interface Following {
  readonly suspicions: readonly Reason[];
  readonly graceMs: number;
  readonly judged?: Judged;
}

function follow(host: Host, { suspicions, graceMs, judged }: Following, now: number): Host {
  const known = joinReasons(suspicionsOf(host), suspicions);
  return derivedState({ ...withJudgement(host, judged), suspicions: known }, now, graceMs);
}

function withJudgement(host: Host, judged: Judged | undefined): Host {
  return judged === undefined ? host : { ...host, ...judged };
}

function putInto(host: Host, state: HostState, reason: Reason, now: number): Host {
  const stateSince = host.state === state ? host.stateSince : now;
  return { ...host, state, stateSince, reasons: [reason], graceEndsAt: 0 };
}

function checkAllowed(host: Host, change: keyof typeof refusedByHand): void {
  if (!refusedByHand[change].includes(host.state)) return;
  throw new TouchmarkError('host_state_conflict', `host ${host.id} is ${host.state} and cannot be ${change}`);
}

/** What evidence says is taken back by other evidence, or by another policy, never by a word. */
function checkReleasable(host: Host): void {
  const byEvidence =
    host.state === 'drifted' || (host.state === 'suspect' && suspicionsOf(host).length === 0);
  if (!byEvidence) return;
  const what = host.state === 'drifted' ? 'has drifted' : 'is suspect';
  throw new TouchmarkError(
    'host_state_conflict',
    `host ${host.id} ${what} by its evidence: repair it, or accept what it shows in a reference set; it recovers by itself`,
  );
}

function stale(node: Node): TouchmarkError {
  return new TouchmarkError('node_stale', `node ${node.id} has no live session with recent evidence`);
}
