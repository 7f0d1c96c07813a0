/** Looking at the evidence of many hosts again, off the event loop. */
import type { Evidence } from '../../measure/appraise/contract.js';
import type { ResolvedPolicy } from '../../measure/policy/model.js';
import { createThread } from '../thread.js';
import type { RejudgeAnswer, RejudgeOutcome, RejudgePolicy, RejudgeQuestion } from './rejudge-worker.js';

export interface Rejudge extends AsyncDisposable {
  /** With whole logs and no state. @throws Error with the reason why it could not be judged at all */
  judge(evidence: Evidence, policy: ResolvedPolicy): Promise<RejudgeOutcome>;
}

/** One thread for one piece of work; it starts with the first evidence, and ends when this is disposed of. */
export function openRejudge(): Rejudge {
  /** What the thread has been given already: each policy crosses once. */
  const sent = new Set<string>();
  const thread = createThread<RejudgeQuestion, RejudgeAnswer>(
    new URL('./rejudge-worker.js', import.meta.url),
    {
      onEnd: () => sent.clear(),
    },
  );
  return {
    async judge(evidence, policy) {
      // When its turn has come, so that a thread that follows one that failed is given the policy too.
      const answer = await thread.ask(() => {
        if (!sent.has(policy.id)) thread.tell({ policy } satisfies RejudgePolicy);
        sent.add(policy.id);
        return { evidence, policyId: policy.id };
      });
      if ('error' in answer) throw new Error(answer.error);
      return answer.outcome;
    },
    [Symbol.asyncDispose]: () => thread[Symbol.asyncDispose](),
  };
}
