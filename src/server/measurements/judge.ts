/** Where `appraise` runs: here when it takes a moment, in a thread of its own when it takes longer. */
import { Worker } from 'node:worker_threads';
import { hasCode, messageOf, TouchmarkError } from '../../errors.js';
import type { Appraisal, BootState, Evidence } from '../../measure/appraise/contract.js';
import type { ResolvedPolicy } from '../../measure/policy/model.js';
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

interface Waiting {
  done(answer: JudgeAnswer): void;
  failed(error: Error): void;
}

/** A thread costs some megabytes: it ends when nothing was judged for so long. */
const IDLE_MS = 30_000;

export function createJudge({ appraise }: Pick<Appraiser, 'appraise'>): Judge {
  const waiting = new Map<number, Waiting>();
  let worker: Worker | undefined;
  let idle: NodeJS.Timeout | undefined;
  let lastId = 0;
  const drop = async (error: Error) => {
    const dropped = worker;
    worker = undefined;
    for (const { failed } of [...waiting.values()]) failed(error);
    await dropped?.terminate();
  };
  const open = () => {
    const opened = new Worker(new URL('./worker.js', import.meta.url));
    opened.unref();
    opened.on('message', (answer: JudgeAnswer) => waiting.get(answer.id)?.done(answer));
    opened.on('error', (error: Error) => {
      if (worker === opened) void drop(error);
    });
    return opened;
  };
  const elsewhere = async (request: Omit<JudgeRequest, 'id'>): Promise<Appraisal> => {
    clearTimeout(idle);
    worker ??= open();
    lastId += 1;
    const id = lastId;
    const answered = new Promise<JudgeAnswer>((done, failed) => waiting.set(id, { done, failed }));
    worker.postMessage({ id, ...request });
    try {
      return judgementOf(await answered);
    } finally {
      waiting.delete(id);
      if (waiting.size === 0) idle = setTimeout(() => void drop(new Error('it rests')), IDLE_MS).unref();
    }
  };
  return {
    async judge(evidence, state, policy) {
      try {
        if (isLong(evidence)) return await elsewhere({ evidence, state, policy });
        return appraise(evidence, state, policy);
      } catch (cause) {
        if (needsWhole(cause)) throw cause;
        throw new TouchmarkError('evidence_unjudged', `evidence cannot be judged: ${messageOf(cause)}`, {
          cause,
        });
      }
    },
    async [Symbol.asyncDispose]() {
      clearTimeout(idle);
      await drop(new Error('the server stops'));
    },
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
