/** The thread that looks at stored evidence anew. It keeps the policies that it was given, so that each crosses once. */
import { isMainThread, parentPort } from 'node:worker_threads';
import { messageOf } from '../../errors.js';
import { appraise } from '../../measure/appraise/appraise.js';
import type { Appraisal, Evidence } from '../../measure/appraise/contract.js';
import type { ResolvedPolicy } from '../../measure/policy/model.js';
import type { Numbered } from '../thread.js';

export interface RejudgePolicy {
  readonly policy: ResolvedPolicy;
}

export interface RejudgeQuestion {
  readonly evidence: Evidence;
  readonly policyId: string;
}

export type RejudgeOutcome = Pick<Appraisal, 'verdict' | 'explanation' | 'ukis'>;

export type RejudgeAnswer =
  | { readonly id: number; readonly outcome: RejudgeOutcome }
  | { readonly id: number; readonly error: string };

if (!isMainThread) serve();

function serve(): void {
  const policies = new Map<string, ResolvedPolicy>();
  parentPort?.on('message', (request: RejudgePolicy | (RejudgeQuestion & Numbered)) => {
    if ('policy' in request) policies.set(request.policy.id, request.policy);
    else parentPort?.postMessage(answer(request, policies));
  });
}

function answer(
  request: RejudgeQuestion & Numbered,
  policies: ReadonlyMap<string, ResolvedPolicy>,
): RejudgeAnswer {
  const { id, evidence } = request;
  try {
    const policy = policies.get(request.policyId);
    if (policy === undefined) throw new Error(`policy ${request.policyId} was not given`);
    const { verdict, explanation, ukis } = appraise(evidence, undefined, policy);
    return { id, outcome: { verdict, explanation, ukis } };
  } catch (error) {
    return { id, error: messageOf(error) };
  }
}
