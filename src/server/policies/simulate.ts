/** What would become of every host if other policies were published: its newest evidence, judged by them. Nothing is written. */
import type { Clock } from '../../clock.js';
import { messageOf } from '../../errors.js';
import type { ResolvedPolicy } from '../../measure/policy/model.js';
import type { Registry } from '../contract.js';
import { judgementReasons } from '../hosts/derive.js';
import { transition } from '../hosts/state.js';
import type { ArchivedEvidence, EvidenceArchive, InForce } from '../measurements/contract.js';
import { judgementKey, maintenanceEnd } from '../measurements/memory.js';
import type { AppraisalRecord, Host, HostState, Reason } from '../model.js';
import type { Assignments } from './assign.js';
import type { Rejudge } from './rejudge.js';
import type { RejudgeOutcome } from './rejudge-worker.js';

export interface SimulateDeps {
  readonly registry: Pick<Registry, 'hosts'>;
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
  /** Absent: its evidence is not there or cannot be judged; `reasons` say why. */
  readonly stateThen?: HostState;
  readonly reasons: readonly Reason[];
  /** Names; empty: none applies. */
  readonly policyNow: string;
  readonly policyThen: string;
  readonly groupThen: string;
}

export interface Simulation {
  /** Hosts that would be judged otherwise: by another policy, another group, or in another window. */
  readonly affected: readonly Outcome[];
  readonly hosts: number;
  /** Hosts that get new identities now because of what they show, or because nothing is asked of them. */
  readonly good: number;
  /** Of these, the ones that would be drifted or suspect. */
  readonly lost: readonly Outcome[];
  readonly regained: readonly Outcome[];
  /** Of the good ones, those of which nothing can be said. */
  readonly unknown: readonly Outcome[];
}

const good: ReadonlySet<HostState> = new Set(['trusted', 'unmeasured']);
/** Not good, and not because an operator said so. */
const followsEvidence: ReadonlySet<HostState> = new Set(['drifted', 'suspect']);
/** Evidence that is read ahead of the judge. */
const AHEAD = 2;

/** @param signal ends the work early, with its reason as the error */
export async function simulate(
  deps: SimulateDeps,
  before: Assignments,
  after: Assignments,
  signal?: AbortSignal,
): Promise<Simulation> {
  const at = deps.clock.now();
  const hosts = [...deps.registry.hosts()];
  const concerned = hosts
    .map((host) => ({ host, present: before.policyFor(host.labels), coming: after.policyFor(host.labels) }))
    .filter(({ present, coming }) => judgementKey(present, at) !== judgementKey(coming, at));
  await using rejudge = deps.openRejudge();
  const affected: Outcome[] = [];
  for (let from = 0; from < concerned.length; from += AHEAD) {
    signal?.throwIfAborted();
    const slice = concerned.slice(from, from + AHEAD);
    affected.push(...(await Promise.all(slice.map((item) => outcomeOf(deps, rejudge, item, at)))));
  }
  return summary(hosts, affected);
}

interface Concerned {
  readonly host: Host;
  readonly present: InForce | undefined;
  readonly coming: InForce | undefined;
}

async function outcomeOf(
  deps: SimulateDeps,
  rejudge: Rejudge,
  item: Concerned,
  at: number,
): Promise<Outcome> {
  const { host, present, coming } = item;
  const base = {
    hostId: host.id,
    name: host.name,
    stateNow: host.state,
    policyNow: present?.policy.policy.name ?? '',
    policyThen: coming?.policy.policy.name ?? '',
    groupThen: coming?.group.name ?? '',
  };
  const unknown = (code: string, message: string): Outcome => ({ ...base, reasons: [{ code, message }] });
  try {
    const archived = await deps.archive.latest(host.id);
    if (archived === undefined && coming !== undefined)
      return unknown('no_evidence', 'it has shown no evidence yet');
    const outcome = await judged(rejudge, archived, coming?.policy, at);
    const appraisal = recordOf(outcome, archived?.record.id ?? '', coming, at);
    const { state } = transition(
      host,
      {
        kind: 'appraised',
        suspicions: [],
        graceMs: deps.suspectGrace * 1000,
        judged: { appraisal, maintenanceUntil: maintenanceEnd(coming, at) },
      },
      at,
    );
    // What speaks against it is told whatever follows: of a policy that only reports, nothing does.
    return { ...base, stateThen: state, reasons: judgementReasons({ ...appraisal, verdict: 'drifted' }) };
  } catch (error) {
    return unknown('evidence_unjudged', messageOf(error));
  }
}

/** The evidence is judged as if it were shown at this moment: windows count as they are now. */
async function judged(
  rejudge: Rejudge,
  archived: ArchivedEvidence | undefined,
  policy: ResolvedPolicy | undefined,
  at: number,
): Promise<RejudgeOutcome> {
  if (archived === undefined || policy === undefined) {
    return { verdict: 'unmeasured', explanation: { policyId: '', policyName: '', components: [], pcrs: [] } };
  }
  return rejudge.judge({ ...archived.evidence, at }, policy);
}

function recordOf(
  { verdict, explanation }: RejudgeOutcome,
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
  };
}

function summary(hosts: readonly Host[], affected: readonly Outcome[]): Simulation {
  const wasGood = affected.filter(({ stateNow }) => good.has(stateNow));
  return {
    affected,
    hosts: hosts.length,
    good: hosts.filter(({ state }) => good.has(state)).length,
    lost: wasGood.filter(({ stateThen }) => stateThen !== undefined && !good.has(stateThen)),
    regained: affected.filter(
      ({ stateNow, stateThen }) =>
        followsEvidence.has(stateNow) && stateThen !== undefined && good.has(stateThen),
    ),
    unknown: wasGood.filter(({ stateThen }) => stateThen === undefined),
  };
}
