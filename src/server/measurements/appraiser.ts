import { appraise } from '../../measure/appraise/appraise.js';
import { isMeasured } from '../../measure/appraise/is-measured.js';
import type { AppraisalState } from '../../measure/appraise/state.js';
import type { Appraiser } from './judge.js';

/** The one judge of hosts. States come back to it as it made them: nobody else writes their fields. */
export const appraiser: Appraiser = {
  appraise: (evidence, state, policy) => appraise(evidence, state as AppraisalState | undefined, policy),
  isMeasured: (state, digest) => isMeasured(state as AppraisalState, digest),
};
