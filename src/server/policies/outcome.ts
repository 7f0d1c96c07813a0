/** What would become of one host if it were judged by another policy, or at another time. Nothing is written. */
import type { Clock } from '../../clock.js';
import { messageOf } from '../../errors.js';
import type { ResolvedPolicy } from '../../measure/policy/model.js';
import type { Registry } from '../contract.js';
import { judgementReasons } from '../hosts/derive.js';
import { shownState, transition } from '../hosts/state.js';
import type { ArchivedEvidence, EvidenceArchive, InForce } from '../measurements/contract.js';
import { maintenanceEnd } from '../measurements/memory.js';
import type { AppraisalRecord, Host, HostState, Reason } from '../model.js';
import { endedSelectors, type MeasuredAlias } from './measured-entries.js';
import type { Rejudge } from './rejudge.js';
import type { RejudgeOutcome } from './rejudge-worker.js';

export interface SimulateDeps {
  readonly registry: Pick<Registry, 'hosts' | 'entries'>;
  readonly archive: Pick<EvidenceArchive, 'latest'>;
  readonly clock: Clock;
  /** Seconds that a suspect host keeps getting SVIDs. */
  readonly suspectGrace: number;
  readonly openRejudge: () => Rejudge;
}

/** What one host is and would be. */
export interface Outcome {
  readonly hostId: string;
  readonly name: string;
  readonly stateNow: HostState;
  /** `stale` where its evidence cannot be judged; absent: there is none. `reasons` say why. */
  readonly stateThen?: HostState;
  /** Whether it would get new identities no more, or fewer because of what its judgement gives. */
  readonly lost: boolean;
  readonly reasons: readonly Reason[];
  /** Names; empty: none applies. */
  readonly policyNow: string;
  readonly policyThen: string;
  readonly groupThen: string;
}

/** A host between two policies. */
export interface Concerned {
  readonly host: Host;
  readonly present: InForce | undefined;
  readonly coming: InForce | undefined;
  /** Unix milliseconds as of which it is judged: windows count as they are then. */
  readonly at: number;
}

/** States in which a host gets new identities because of what it shows, or because nothing is asked of it. */
export const goodStates: ReadonlySet<HostState> = new Set(['trusted', 'unmeasured']);

export interface OutcomeDeps extends Pick<SimulateDeps, 'archive' | 'suspectGrace'> {
  readonly rejudge: Rejudge;
  readonly aliases: readonly MeasuredAlias[];
}

export async function outcomeOf(deps: OutcomeDeps, item: Concerned): Promise<Outcome> {
  const { host, present, coming } = item;
  const base = {
    hostId: host.id,
    name: host.name,
    stateNow: host.state,
    policyNow: present?.policy.policy.name ?? '',
    policyThen: coming?.policy.policy.name ?? '',
    groupThen: coming?.group.name ?? '',
  };
  try {
    const archived = await deps.archive.latest(host.id);
    if (archived === undefined && coming !== undefined) {
      return {
        ...base,
        lost: false,
        reasons: [{ code: 'no_evidence', message: 'it has shown no evidence yet' }],
      };
    }
    return { ...base, ...(await judgedOutcome(deps, item, archived)) };
  } catch (error) {
    const reasons = [{ code: 'evidence_unjudged', message: messageOf(error) }];
    return { ...base, ...unjudged(item), reasons };
  }
}

/** Evidence that cannot be judged is none: where a policy is enforced, the host goes stale. */
function unjudged({ host, coming }: Concerned): Pick<Outcome, 'stateThen' | 'lost'> {
  if (coming?.policy.policy.mode !== 'enforce') return { lost: false };
  return { stateThen: shownState(host, false), lost: goodStates.has(host.state) };
}

async function judgedOutcome(
  { rejudge, suspectGrace, aliases }: OutcomeDeps,
  { host, coming, at }: Concerned,
  archived: ArchivedEvidence | undefined,
): Promise<Pick<Outcome, 'stateThen' | 'lost' | 'reasons'>> {
  const outcome = await judged(rejudge, archived, coming?.policy, at);
  const appraisal = recordOf(outcome, archived?.record.id ?? '', coming, at);
  const judgement = { appraisal, maintenanceUntil: maintenanceEnd(coming, at) };
  const graceMs = suspectGrace * 1000;
  const then = transition(host, { kind: 'appraised', suspicions: [], graceMs, judged: judgement }, at);
  const ended = endedSelectors(host, then, aliases).map((selector) => ({
    code: 'measured_selector_ends',
    message: `it would have ${selector} no more, which entries ask for`,
  }));
  const isGood = goodStates.has(then.state);
  return {
    stateThen: then.state,
    lost: goodStates.has(host.state) && (!isGood || ended.length > 0),
    // What speaks against it is told whatever follows: of a policy that only reports, nothing does.
    reasons: [...(isGood ? ended : []), ...judgementReasons({ ...appraisal, verdict: 'drifted' })],
  };
}

async function judged(
  rejudge: Rejudge,
  archived: ArchivedEvidence | undefined,
  policy: ResolvedPolicy | undefined,
  at: number,
): Promise<RejudgeOutcome> {
  if (archived === undefined || policy === undefined) {
    const explanation = { policyId: '', policyName: '', components: [], pcrs: [] };
    return { verdict: 'unmeasured', explanation, ukis: [] };
  }
  return rejudge.judge({ ...archived.evidence, at }, policy);
}

function recordOf(
  { verdict, explanation, ukis }: RejudgeOutcome,
  evidenceId: string,
  coming: InForce | undefined,
  at: number,
): AppraisalRecord {
  return {
    ...{ verdict, since: at, at, evidenceId },
    policyId: coming?.policy.id ?? '',
    policyName: coming?.policy.policy.name ?? '',
    group: coming?.group.name ?? '',
    components: explanation.components,
    ukis,
  };
}
