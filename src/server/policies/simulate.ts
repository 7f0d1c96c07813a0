/** What would become of every host if other policies were published: its newest evidence, judged by them. Nothing is written. */
import { judgementKey } from '../measurements/memory.js';
import type { Host, HostState } from '../model.js';
import type { Assignments } from './assign.js';
import { measuredAliases } from './measured-entries.js';
import {
  type Concerned,
  goodStates,
  type Outcome,
  type OutcomeDeps,
  outcomeOf,
  type SimulateDeps,
} from './outcome.js';

export interface Simulation {
  /** Hosts that would be judged otherwise: by another policy, another group, or in another window. */
  readonly affected: readonly Outcome[];
  readonly hosts: number;
  /** Hosts that get new identities now because of what they show, or because nothing is asked of them. */
  readonly good: number;
  /** Of these, the ones that would lose all or some of their identities. */
  readonly lost: readonly Outcome[];
  readonly regained: readonly Outcome[];
  /** Of the good ones, those of which nothing can be said. */
  readonly unknown: readonly Outcome[];
  /** What follows later if nothing else is published: told, and held by nothing. */
  readonly afterWindows: AfterWindows;
}

/** Hosts that would be good, and lost once the accept-next windows of their policy are over. */
export interface AfterWindows {
  readonly lost: readonly Outcome[];
  /** When the first of them is lost. Unix milliseconds, 0: none is. */
  readonly from: number;
}

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
  const all = hosts.map((host): Concerned => {
    return { host, present: before.policyFor(host.labels), coming: after.policyFor(host.labels), at };
  });
  const concerned = all.filter(
    ({ present, coming }) => judgementKey(present, at) !== judgementKey(coming, at),
  );
  await using rejudge = deps.openRejudge();
  const room = { ...deps, rejudge, aliases: measuredAliases(deps.registry.entries()) };
  const affected = await outcomes(room, concerned, signal);
  const afterWindows = await lostAfterWindows(room, all, affected, signal);
  return { ...summary(hosts, affected), afterWindows };
}

async function outcomes(
  deps: OutcomeDeps,
  items: readonly Concerned[],
  signal: AbortSignal | undefined,
): Promise<Outcome[]> {
  const found: Outcome[] = [];
  for (let from = 0; from < items.length; from += AHEAD) {
    signal?.throwIfAborted();
    found.push(...(await Promise.all(items.slice(from, from + AHEAD).map((item) => outcomeOf(deps, item)))));
  }
  return found;
}

/** At the end of the last window only what `references` name is accepted, so that no earlier end costs more. */
async function lostAfterWindows(
  deps: OutcomeDeps,
  all: readonly Concerned[],
  affected: readonly Outcome[],
  signal: AbortSignal | undefined,
): Promise<AfterWindows> {
  const then = new Map(affected.map((outcome) => [outcome.hostId, outcome]));
  const isGoodThen = ({ host }: Concerned) => {
    const outcome = then.get(host.id);
    return goodStates.has(outcome === undefined ? host.state : (outcome.stateThen ?? 'stale'));
  };
  const ending = all
    .map((item) => ({ ...item, at: lastWindowEnd(item) }))
    .filter((item, index) => item.at > (all[index]?.at ?? 0) && isGoodThen(item));
  const judged = await outcomes(deps, ending, signal);
  const lost = judged.filter(({ stateThen }) => stateThen !== undefined && !goodStates.has(stateThen));
  const lostIds = new Set(lost.map(({ hostId }) => hostId));
  const ends = ending.filter(({ host }) => lostIds.has(host.id)).map((item) => item.at);
  return { lost, from: lost.length === 0 ? 0 : ends.reduce((a, b) => Math.min(a, b)) };
}

function lastWindowEnd({ coming }: Concerned): number {
  return (coming?.policy.next ?? []).reduce((last, { until }) => Math.max(last, until), 0);
}

function summary(hosts: readonly Host[], affected: readonly Outcome[]): Omit<Simulation, 'afterWindows'> {
  return {
    affected,
    hosts: hosts.length,
    good: hosts.filter(({ state }) => goodStates.has(state)).length,
    lost: affected.filter(({ lost }) => lost),
    regained: affected.filter(
      ({ stateNow, stateThen }) =>
        followsEvidence.has(stateNow) && stateThen !== undefined && goodStates.has(stateThen),
    ),
    unknown: affected.filter(
      ({ stateNow, stateThen }) => goodStates.has(stateNow) && stateThen === undefined,
    ),
  };
}
