/** Looking at the evidence of many hosts again, off the event loop. */
import { Worker } from 'node:worker_threads';
import type { Evidence } from '../../measure/appraise/contract.js';
import type { ResolvedPolicy } from '../../measure/policy/model.js';
import type { MadeReferences, ReferenceAbout } from '../../measure/policy/reference-sources/reference-set.js';
import type { RejudgeAnswer, RejudgeOutcome, RejudgeRequest } from './rejudge-worker.js';

export interface Rejudge extends AsyncDisposable {
  /** With whole logs and no state. @throws Error with the reason why it could not be judged at all */
  judge(evidence: Evidence, policy: ResolvedPolicy): Promise<RejudgeOutcome>;
  /** What the evidence shows, as references. @throws Error with the reason why its logs cannot be read */
  references(evidence: Evidence, about: ReferenceAbout): Promise<readonly MadeReferences[]>;
}

interface Waiting {
  readonly done: (answer: RejudgeAnswer) => void;
  readonly failed: (error: Error) => void;
}

/** One thread for one piece of work; it starts with the first evidence, and ends when this is disposed of. */
export function openRejudge(): Rejudge {
  const waiting = new Map<number, Waiting>();
  const sent = new Set<string>();
  let worker: Worker | undefined;
  let last = 0;
  const fail = (error: Error) => {
    for (const { failed } of waiting.values()) failed(error);
    waiting.clear();
  };
  const open = () => {
    const opened = new Worker(new URL('./rejudge-worker.js', import.meta.url));
    opened.on('message', (answer: RejudgeAnswer) => {
      waiting.get(answer.id)?.done(answer);
      waiting.delete(answer.id);
    });
    opened.on('error', fail);
    opened.on('exit', () => fail(new Error('the thread that judges has ended')));
    return opened;
  };
  const ask = async (
    request: { evidence: Evidence } & ({ policyId: string } | { about: ReferenceAbout }),
  ) => {
    worker ??= open();
    last += 1;
    const id = last;
    const answered = new Promise<RejudgeAnswer>((done, failed) => waiting.set(id, { done, failed }));
    worker.postMessage({ id, ...request } satisfies RejudgeRequest);
    const answer = await answered;
    if ('error' in answer) throw new Error(answer.error);
    return answer;
  };
  return {
    async judge(evidence, policy) {
      worker ??= open();
      if (!sent.has(policy.id)) worker.postMessage({ policy } satisfies RejudgeRequest);
      sent.add(policy.id);
      const answer = await ask({ evidence, policyId: policy.id });
      if ('outcome' in answer) return answer.outcome;
      throw new Error('the thread that judges gave another answer');
    },
    async references(evidence, about) {
      const answer = await ask({ evidence, about });
      return 'made' in answer ? answer.made : [];
    },
    async [Symbol.asyncDispose]() {
      await worker?.terminate();
    },
  };
}
