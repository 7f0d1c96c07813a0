import { row } from './row.js';

/** Error codes of judging evidence: what was sent does not go on where the last evidence of the boot ended. */
export const measureAppraiseErrors = {
  evidence_offset: row(
    'FAILED_PRECONDITION',
    'Send the log from its beginning, or from the offset that was confirmed last.',
  ),
  evidence_boot_changed: row('FAILED_PRECONDITION', 'The host was started again: send its logs whole.'),
  appraisal_policy_changed: row(
    'FAILED_PRECONDITION',
    'What was remembered is of another policy: judge the whole logs anew.',
  ),
};
