/** Judging the evidence of many hosts again, off the event loop. */
import { Worker } from 'node:worker_threads';
import type { Evidence } from '../../measure/appraise/contract.js';
import type { ResolvedPolicy } from '../../measure/policy/model.js';
import type { RejudgeAnswer, RejudgeOutcome, RejudgeRequest } from './rejudge-worker.js';

export interface Rejudge extends AsyncDisposable {
  /** With whole logs and no state. @throws Error with the reason why it could not be judged at all */
  judge(evidence: Evidence, policy: ResolvedPolicy): Promise<RejudgeOutcome>;
}

interface Waiting {
  readonly done: (outcome: RejudgeOutcome) => void;
  readonly failed: (error: Error) => void;
}

/** One thread for one simulation; it starts with the first evidence, and ends when this is disposed of. */
export function openRejudge(): Rejudge {
  const waiting = new Map<number, Waiting>();
  const sent = new Set<string>();
  let worker: Worker | undefined;
  let last = 0;
  const fail = (error: Error) => {
    for (const { failed } of waiting.values()) failed(error);
    waiting.clear();
  };
  const settle = (answer: RejudgeAnswer) => {
    const asked = waiting.get(answer.id);
    waiting.delete(answer.id);
    if ('outcome' in answer) asked?.done(answer.outcome);
    else asked?.failed(new Error(answer.error));
  };
  const open = () => {
    const opened = new Worker(new URL('./rejudge-worker.js', import.meta.url));
    opened.on('message', settle);
    opened.on('error', fail);
    opened.on('exit', () => fail(new Error('the thread that judges has ended')));
    return opened;
  };
  const post = (request: RejudgeRequest) => worker?.postMessage(request);
  return {
    judge(evidence, policy) {
      worker ??= open();
      if (!sent.has(policy.id)) post({ policy });
      sent.add(policy.id);
      last += 1;
      const id = last;
      return new Promise((done, failed) => {
        waiting.set(id, { done, failed });
        post({ id, evidence, policyId: policy.id });
      });
    },
    async [Symbol.asyncDispose]() {
      await worker?.terminate();
    },
  };
}
