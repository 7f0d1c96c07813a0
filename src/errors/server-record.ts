import { type ErrorRow, row } from './row.js';

/** Error codes of the record of events, and of exported evidence. */
export const serverRecordErrors = {
  record_line_invalid: row(
    'DATA_LOSS',
    'Compare with a copy of the log: this line was changed, or the disk damaged it.',
  ),
  record_chain_broken: row(
    'DATA_LOSS',
    'Lines before this place were changed, moved or removed: compare with a copy of the log.',
  ),
  record_checkpoint_invalid: row(
    'DATA_LOSS',
    'Compare with a copy of the log; give the bundle of the time at which it was written.',
  ),
  record_unsigned: row(
    'FAILED_PRECONDITION',
    'Give the bundle of the trust domain whose server wrote the log, of about that time.',
  ),
  record_truncated: row('DATA_LOSS', 'The end of the log is missing: look for a newer copy of it.'),
  record_unreadable: row('FAILED_PRECONDITION', 'Give the folder `events` of a server’s data directory.'),
  record_failed: row(
    'UNAVAILABLE',
    'Look at the cause in the log, and check the disk of the data directory.',
  ),
  evidence_unknown: row(
    'NOT_FOUND',
    'See what is kept of a host: touchmark-server evidence list HOST; it is kept for a set time.',
  ),
  evidence_directory_invalid: row(
    'INVALID_ARGUMENT',
    'Give a directory that `touchmark-server evidence export` wrote, as it wrote it.',
  ),
  evidence_differs: row(
    'DATA_LOSS',
    'The evidence, the policy or the stored verdict was changed, or another version judges otherwise: compare them.',
  ),
  record_busy: row('RESOURCE_EXHAUSTED', 'Wait until the verification that is under way has ended.'),
} as const satisfies Record<string, ErrorRow>;
