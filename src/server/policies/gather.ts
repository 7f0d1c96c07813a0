/** Making one reference set of the evidence of many hosts, off the event loop. */
import { TouchmarkError } from '../../errors.js';
import type { Evidence } from '../../measure/appraise/contract.js';
import type { ReferenceAbout } from '../../measure/policy/reference-sources/reference-set.js';
import { createThread } from '../thread.js';
import type { GatherAnswer, GatherQuestion } from './gather-worker.js';

export interface Gather extends AsyncDisposable {
  /**
   * Takes in what one host showed, as far as its quote vouches for it.
   * @returns whether that is anything, and what is left out
   * @throws TouchmarkError `reference_source_too_large`; what reading the logs throws
   */
  add(evidence: Evidence, about: ReferenceAbout): Promise<{ shown: boolean; notes: readonly string[] }>;
  /** The manifest of what at least so many hosts showed, JSON in UTF-8; undefined: there is no such thing. */
  finish(about: ReferenceAbout, least: number): Promise<Uint8Array | undefined>;
}

/** One thread for one set. */
export function openGather(): Gather {
  let ended = false;
  const thread = createThread<GatherQuestion, GatherAnswer>(new URL('./gather-worker.js', import.meta.url), {
    onEnd: () => {
      ended = true;
    },
  });
  const ask = async (question: GatherQuestion) => {
    // Another thread would know nothing of the hosts before.
    if (ended) throw new Error('the thread has ended');
    const answer = await thread.ask(question);
    if (!('error' in answer)) return answer;
    throw answer.code === undefined ? new Error(answer.error) : new TouchmarkError(answer.code, answer.error);
  };
  return {
    async add(evidence, about) {
      const answer = await ask({ evidence, about });
      return 'shown' in answer ? answer : { shown: false, notes: [] };
    },
    async finish(about, least) {
      const answer = await ask({ finish: about, least });
      return 'manifest' in answer ? answer.manifest : undefined;
    },
    [Symbol.asyncDispose]: () => thread[Symbol.asyncDispose](),
  };
}
