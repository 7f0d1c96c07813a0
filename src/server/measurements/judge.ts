/** Where `appraise` runs: here when it takes a moment, in a thread of its own when it takes longer. */
import { hasCode, messageOf, TouchmarkError } from '../../errors.js';
import type { Appraisal, BootState, Evidence, LogKind } from '../../measure/appraise/contract.js';
import type { ResolvedPolicy } from '../../measure/policy/model.js';
import { createThread } from '../thread.js';
import { measureLimits, measureTimes } from './limits.js';
import type { JudgeAnswer, JudgeQuestion, PolicyNews } from './worker.js';

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
const MOST_POLICIES = 20;

export function createJudge({ appraise }: Pick<Appraiser, 'appraise'>): Judge {
  const told = new ToldPolicies();
  const thread = createThread<JudgeQuestion, JudgeAnswer>(new URL('./worker.js', import.meta.url), {
    ...{ idleMs: IDLE_MS, answerMs: measureTimes.judgeMs },
    onEnd: () => told.clear(),
  });
  const ask = (evidence: Evidence, state: BootState | undefined, policy: ResolvedPolicy | undefined) =>
    thread.ask(() => ({
      evidence,
      state,
      policy: policy && told.number(policy, (news) => thread.tell(news)),
    }));
  return {
    async judge(evidence, state, policy) {
      try {
        if (isLong(evidence)) return judgementOf(await ask(evidence, state, policy));
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

/**
 * Policies that the thread has: each crosses once, for it can be large, and is compiled there once. Of those that were
 * published since, only the newest are kept.
 */
class ToldPolicies {
  readonly #numbers = new Map<ResolvedPolicy, number>();
  #last = 0;

  number(policy: ResolvedPolicy, tell: (news: PolicyNews) => void): number {
    const known = this.#numbers.get(policy);
    if (known !== undefined) return known;
    this.#last += 1;
    tell({ told: this.#last, policy });
    this.#numbers.set(policy, this.#last);
    for (const [old, number] of this.#numbers) {
      if (this.#numbers.size <= MOST_POLICIES) break;
      this.#numbers.delete(old);
      tell({ told: number });
    }
    return this.#last;
  }

  clear(): void {
    this.#numbers.clear();
  }
}

/** The judgement has to be made anew, from whole logs. */
export function needsWhole(error: unknown): boolean {
  return hasCode(error, 'evidence_boot_changed', 'evidence_offset', 'appraisal_policy_changed');
}

/** What an event or a record costs beside an entry of the list, by the byte. */
const EVENT_COST = 4;
/** Without the values of the registers, every prefix of the one log is tried with every prefix of the other. */
const SEARCH_COST = 16;

/** Whether it may take longer than others are to wait for. */
function isLong({ logs, pcrValues }: Evidence): boolean {
  const size = (kind: LogKind) => (logs[kind].kind === 'bytes' ? logs[kind].bytes.length : 0);
  const cost = size('ima-list') + EVENT_COST * (size('boot-log') + size('userspace-log'));
  return cost * (pcrValues === undefined ? SEARCH_COST : 1) > measureLimits.inline;
}

function judgementOf(answer: JudgeAnswer): Appraisal {
  if ('appraisal' in answer) return answer.appraisal;
  if (answer.code === undefined) throw new Error(answer.message);
  throw new TouchmarkError(answer.code, answer.message);
}
