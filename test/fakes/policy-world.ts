/** A policies room on a store in memory: hosts, what they showed last, and a judge that is told what to say. */

import { createLogger } from '../../src/log.js';
import type { Evidence } from '../../src/measure/appraise/contract.js';
import type { ResolvedPolicy } from '../../src/measure/policy/model.js';
import type { ArchivedEvidence } from '../../src/server/measurements/contract.js';
import type { Host, HostState } from '../../src/server/model.js';
import { openPolicies } from '../../src/server/policies/book.js';
import { createPublisher, type Published, type PublishOptions } from '../../src/server/policies/publish.js';
import type { Rejudge } from '../../src/server/policies/rejudge.js';
import type { RejudgeOutcome } from '../../src/server/policies/rejudge-worker.js';
import type { Entry } from '../../src/spiffe/entry.js';
import { manualClock } from './manual-clock.js';
import { memoryDatastore } from './memory-datastore.js';

/** @param at as of when. Unix milliseconds */
export type Sentence = (
  hostId: string,
  policy: ResolvedPolicy,
  at: number,
) => RejudgeOutcome['verdict'] | Error;

export interface PolicyWorldOptions {
  readonly hosts?: readonly Host[];
  /** Default: every host passes. */
  readonly sentence?: Sentence;
  /** Hosts that have shown nothing. */
  readonly silent?: readonly string[];
  readonly blastRadius?: number;
  readonly entries?: readonly Entry[];
  /** Labels of the images that every host started. */
  readonly ukis?: readonly string[];
  readonly store?: ReturnType<typeof memoryDatastore>;
}

export function hostNamed(
  id: string,
  state: HostState = 'trusted',
  labels: Record<string, string> = {},
): Host {
  return {
    ...{ id, name: `host-${id}`, labels, eks: [], state, stateSince: 1, reasons: [], graceEndsAt: 0 },
    ...{ akName: '', attestationNumber: 1, enrolledBy: 'test', enrolledAt: 1 },
  };
}

/** Just enough for the fake judge to know whose it is. */
function evidenceOf(hostId: string): ArchivedEvidence {
  const record = { id: `evidence-${hostId}`, hostId } as ArchivedEvidence['record'];
  return { record, evidence: { at: 1, hostId } as unknown as Evidence };
}

export async function policyWorld(options: PolicyWorldOptions = {}) {
  const store = options.store ?? memoryDatastore();
  const clock = manualClock();
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  const log = createLogger({ format: 'text', write, clock, journal: false });
  const policies = await openPolicies({ store, clock, log });
  const hosts = options.hosts ?? [];
  const judgements: string[] = [];
  let open = 0;
  const rejudge: Rejudge = {
    async judge(evidence, policy) {
      const { hostId, at } = evidence as unknown as { hostId: string; at: number };
      judgements.push(`${hostId} by ${policy.policy.name} at ${at - clock.now()}`);
      const verdict = options.sentence?.(hostId, policy, at) ?? 'trusted';
      if (verdict instanceof Error) throw verdict;
      return { verdict, explanation: explanationOf(verdict), ukis: options.ukis ?? [] };
    },
    async [Symbol.asyncDispose]() {
      open -= 1;
    },
  };
  const deps = {
    ...{ store, clock, policies, suspectGrace: 60, blastRadius: options.blastRadius ?? 10 },
    registry: { hosts: () => hosts, entries: () => options.entries ?? [] },
    archive: {
      latest: async (id: string) => (options.silent?.includes(id) ? undefined : evidenceOf(id)),
    },
    openRejudge: () => {
      open += 1;
      return rejudge;
    },
  };
  const publisher = createPublisher(deps);
  return {
    ...{ store, clock, policies, publisher, deps, lines, judgements, unclosed: () => open },
    apply: (manifests: readonly unknown[], more: Partial<PublishOptions> = {}): Promise<Published> =>
      publisher.apply(manifests, { by: 'uid 7', dryRun: false, ...more }),
  };
}

function explanationOf(verdict: RejudgeOutcome['verdict']): RejudgeOutcome['explanation'] {
  const reasons = [{ code: 'boot_image_unknown', message: 'event 3 is no reference' }];
  const failed = { component: 'boot-chain', result: 'fail', reasons, more: 0, checked: 1 } as const;
  const components = verdict === 'drifted' || verdict === 'suspect' ? [failed] : [];
  return { policyId: '', policyName: '', components, pcrs: [] };
}
