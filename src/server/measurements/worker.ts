/** The thread that judges long lists. It gets plain data and answers with plain data; it keeps nothing between two. */
import { isMainThread, parentPort } from 'node:worker_threads';
import { type ErrorCode, messageOf, TouchmarkError } from '../../errors.js';
import { appraise } from '../../measure/appraise/appraise.js';
import type { Appraisal, BootState, Evidence } from '../../measure/appraise/contract.js';
import type { ResolvedPolicy } from '../../measure/policy/model.js';
import type { Numbered } from '../thread.js';

export interface JudgeRequest {
  readonly evidence: Evidence;
  readonly state: BootState | undefined;
  readonly policy: ResolvedPolicy | undefined;
}

export type JudgeAnswer =
  | { readonly id: number; readonly appraisal: Appraisal }
  | { readonly id: number; readonly message: string; readonly code?: ErrorCode };

if (!isMainThread) {
  parentPort?.on('message', ({ id, evidence, state, policy }: JudgeRequest & Numbered) => {
    parentPort?.postMessage(answer(id, () => appraise(evidence, state as never, policy)));
  });
}

function answer(id: number, judge: () => Appraisal): JudgeAnswer {
  try {
    return { id, appraisal: judge() };
  } catch (error) {
    const code = error instanceof TouchmarkError ? { code: error.code } : {};
    return { id, message: messageOf(error), ...code };
  }
}
