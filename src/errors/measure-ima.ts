import { row } from './row.js';

const readAgain = 'Read the list from securityfs again, in one go; a kernel never writes it so.';

/** Error codes of IMA lists, and codes of findings in them. */
export const measureImaErrors = {
  // measure: IMA list
  ima_list_truncated: row('INVALID_ARGUMENT', 'Send the list up to the end of an entry.'),
  ima_list_invalid: row('INVALID_ARGUMENT', readAgain),
  ima_list_too_large: row('INVALID_ARGUMENT', 'No kernel writes an entry of that size: check the source.'),
  ima_template_unsupported: row('INVALID_ARGUMENT', 'Use binary_runtime_measurements instead of the text.'),
  // measure: findings in an IMA list
  ima_template_digest_mismatch: row('INVALID_ARGUMENT', readAgain),
  ima_entry_malformed: row('INVALID_ARGUMENT', readAgain),
  ima_buffer_digest_mismatch: row('INVALID_ARGUMENT', readAgain),
  ima_pcr_unexpected: row('FAILED_PRECONDITION', 'Remove pcr= from the IMA rules of the host.'),
  ima_violation: row(
    'FAILED_PRECONDITION',
    'See who writes to the file while it is read or run; nothing vouches for the entry.',
  ),
  ima_template_unknown: row('FAILED_PRECONDITION', 'Set ima_template=ima-sig on the host.'),
  ima_boot_aggregate_missing: row('FAILED_PRECONDITION', 'Send the list from its first entry on.'),
  ima_boot_aggregate_repeated: row('FAILED_PRECONDITION', 'Reboot through the firmware instead of kexec.'),
};
