/** Where `appraise` runs: here when it takes a moment, in a thread of its own when it takes longer. */
import { hasCode, messageOf, TouchmarkError } from '../../errors.js';
import type { Appraisal, BootState, Evidence } from '../../measure/appraise/contract.js';
import type { ResolvedPolicy } from '../../measure/policy/model.js';
import { createThread } from '../thread.js';
import { measureLimits } from './limits.js';
import type { JudgeAnswer, JudgeRequest } from './worker.js';

/** `measure/appraise`, as this room uses it. */
export interface Appraiser {
  appraise(evidence: Evidence, state: BootState | undefined, policy: ResolvedPolicy | undefined): Appraisal;
  isMeasured(state: BootState, digest: string): boolean;
}

export interface Judge extends AsyncDisposable {
  /**
   * @throws TouchmarkError `evidence_boot_changed`, `evidence_offset`, `appraisal_policy_changed` when the state is not
   *   what the logs go on from; `evidence_unjudged` when judging itself failed: nothing follows from that for the host
   */
  judge(
    evidence: Evidence,
    state: BootState | undefined,
    policy: ResolvedPolicy | undefined,
  ): Promise<Appraisal>;
}

const IDLE_MS = 30_000;

export function createJudge({ appraise }: Pick<Appraiser, 'appraise'>): Judge {
  const thread = createThread<JudgeRequest, JudgeAnswer>(new URL('./worker.js', import.meta.url), {
    idleMs: IDLE_MS,
  });
  return {
    async judge(evidence, state, policy) {
      try {
        if (isLong(evidence)) return judgementOf(await thread.ask({ evidence, state, policy }));
        return appraise(evidence, state, policy);
      } catch (cause) {
        if (needsWhole(cause)) throw cause;
        throw new TouchmarkError('evidence_unjudged', `evidence cannot be judged: ${messageOf(cause)}`, {
          cause,
        });
      }
    },
    [Symbol.asyncDispose]: () => thread[Symbol.asyncDispose](),
  };
}

/** The judgement has to be made anew, from whole logs. */
export function needsWhole(error: unknown): boolean {
  return hasCode(error, 'evidence_boot_changed', 'evidence_offset', 'appraisal_policy_changed');
}

function isLong({ logs }: Evidence): boolean {
  const list = logs['ima-list'];
  return list.kind === 'bytes' && list.bytes.length > measureLimits.inline;
}

function judgementOf(answer: JudgeAnswer): Appraisal {
  if ('appraisal' in answer) return answer.appraisal;
  if (answer.code === undefined) throw new Error(answer.message);
  throw new TouchmarkError(answer.code, answer.message);
}
