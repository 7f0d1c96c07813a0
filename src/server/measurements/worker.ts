/** The thread that judges long lists. It gets plain data and answers with plain data; between two it keeps policies, nothing else. */
import { isMainThread, parentPort } from 'node:worker_threads';
import { type ErrorCode, messageOf, TouchmarkError } from '../../errors.js';
import { appraise } from '../../measure/appraise/appraise.js';
import type { Appraisal, BootState, Evidence } from '../../measure/appraise/contract.js';
import type { ResolvedPolicy } from '../../measure/policy/model.js';
import type { Numbered } from '../thread.js';

export interface JudgeQuestion {
  readonly evidence: Evidence;
  readonly state: BootState | undefined;
  /** Of one that was told. */
  readonly policy: number | undefined;
}

/** A policy, by a number for it, or that it is asked about no more. */
export interface PolicyNews {
  readonly told: number;
  readonly policy?: ResolvedPolicy;
}

export type JudgeAnswer =
  | { readonly id: number; readonly appraisal: Appraisal }
  | { readonly id: number; readonly message: string; readonly code?: ErrorCode };

if (!isMainThread) serve();

function serve(): void {
  const policies = new Map<number, ResolvedPolicy>();
  parentPort?.on('message', (message: PolicyNews | (JudgeQuestion & Numbered)) => {
    if (!('told' in message)) parentPort?.postMessage(answer(message.id, () => judge(message, policies)));
    else if (message.policy === undefined) policies.delete(message.told);
    else policies.set(message.told, message.policy);
  });
  // What cannot be read here has no id: whoever asked learns of it by the end of this thread.
  parentPort?.on('messageerror', (error) => {
    throw error;
  });
}

function judge({ evidence, state, policy }: JudgeQuestion, policies: ReadonlyMap<number, ResolvedPolicy>) {
  const known = policy === undefined ? undefined : policies.get(policy);
  if (policy !== undefined && known === undefined) throw new Error(`policy ${policy} was not told`);
  return appraise(evidence, state as never, known);
}

function answer(id: number, judged: () => Appraisal): JudgeAnswer {
  try {
    return { id, appraisal: judged() };
  } catch (error) {
    const code = error instanceof TouchmarkError ? { code: error.code } : {};
    return { id, message: messageOf(error), ...code };
  }
}
