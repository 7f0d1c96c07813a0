import { type ErrorCode, TouchmarkError } from '../../errors.js';
import type { Evidence, LogKind, LogPart } from './contract.js';
import type { AppraisalState } from './state.js';

/** What this judgement is made under. */
export interface Under {
  /** Empty: no policy applies. */
  readonly policyId: string;
  readonly windows: string;
}

/**
 * The state that the evidence goes on from; undefined when it starts anew. One boot is one (resetCount, restartCount), but
 * a restartCount that rose alone is a resume, a hibernation or a dynamic launch: the kernel and its logs go on, and whether
 * the registers do is for the quote to show.
 * @throws TouchmarkError `evidence_boot_changed`, `evidence_offset`, `appraisal_policy_changed`
 */
export function continuedState(
  { quote, logs }: Evidence,
  state: AppraisalState | undefined,
  under: Under,
): AppraisalState | undefined {
  if (!state) {
    refuseIncrements(logs, 'evidence_offset', 'nothing is remembered of this boot');
    return undefined;
  }
  if (quote.selection.bank !== state.bank) {
    const message = `the quote is of bank ${quote.selection.bank}, what is remembered of ${state.bank}`;
    refuseIncrements(logs, 'evidence_boot_changed', message);
    return undefined;
  }
  if (quote.resetCount !== state.resetCount || quote.restartCount < state.restartCount) {
    const [now, then] = [quote, state].map(({ resetCount, restartCount }) => `${resetCount}-${restartCount}`);
    refuseIncrements(
      logs,
      'evidence_boot_changed',
      `the quote is of boot ${now}, what is remembered of ${then}`,
    );
    return undefined;
  }
  if (under.policyId !== '' && (under.policyId !== state.policyId || under.windows !== state.windows)) {
    const what = under.policyId === state.policyId ? 'other accept-next windows' : 'another policy';
    refuseIncrements(logs, 'appraisal_policy_changed', `what is remembered was judged under ${what}`);
    return undefined;
  }
  checkOffset('boot-log', logs['boot-log'], state.confirmed.bootLog);
  checkOffset('userspace-log', logs['userspace-log'], state.confirmed.userspaceLog);
  checkOffset('ima-list', logs['ima-list'], state.confirmed.imaList);
  return state;
}

function refuseIncrements(logs: Evidence['logs'], code: ErrorCode, why: string): void {
  for (const [kind, part] of Object.entries(logs)) {
    if (part.kind === 'absent' || (part.kind === 'bytes' && part.offset === 0)) continue;
    const what = part.kind === 'bytes' ? `begins at ${part.offset}` : 'is said to be unchanged';
    throw new TouchmarkError(code, `the ${kind} ${what}, but ${why}`);
  }
}

function checkOffset(kind: LogKind, part: LogPart, confirmed: number): void {
  if (part.kind !== 'bytes' || part.offset === 0 || part.offset === confirmed) return;
  const message = `the ${kind} begins at ${part.offset}, which is neither 0 nor the confirmed ${confirmed}`;
  throw new TouchmarkError('evidence_offset', message);
}
