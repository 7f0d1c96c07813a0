/** The thread that judges stored evidence anew. It keeps the policies that it was given, so that each crosses once. */
import { isMainThread, parentPort } from 'node:worker_threads';
import { messageOf } from '../../errors.js';
import { appraise } from '../../measure/appraise/appraise.js';
import type { Appraisal, Evidence } from '../../measure/appraise/contract.js';
import type { ResolvedPolicy } from '../../measure/policy/model.js';

export type RejudgeRequest =
  | { readonly policy: ResolvedPolicy }
  | { readonly id: number; readonly evidence: Evidence; readonly policyId: string };

export type RejudgeOutcome = Pick<Appraisal, 'verdict' | 'explanation'>;

export type RejudgeAnswer =
  | { readonly id: number; readonly outcome: RejudgeOutcome }
  | { readonly id: number; readonly error: string };

if (!isMainThread) serve();

function serve(): void {
  const policies = new Map<string, ResolvedPolicy>();
  parentPort?.on('message', (request: RejudgeRequest) => {
    if ('policy' in request) policies.set(request.policy.id, request.policy);
    else parentPort?.postMessage(answer(request.id, request.evidence, policies.get(request.policyId)));
  });
}

function answer(id: number, evidence: Evidence, policy: ResolvedPolicy | undefined): RejudgeAnswer {
  try {
    const { verdict, explanation } = appraise(evidence, undefined, policy);
    return { id, outcome: { verdict, explanation } };
  } catch (error) {
    return { id, error: messageOf(error) };
  }
}
