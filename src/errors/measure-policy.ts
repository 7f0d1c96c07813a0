import { row } from './row.js';

/** Error codes of measurement policies, reference sets and host groups. */
export const measurePolicyErrors = {
  glob_invalid: row(
    'INVALID_ARGUMENT',
    'Write a glob: * within a path segment, ** across segments, ? for one character; all else stands for itself.',
  ),
  manifest_invalid: row(
    'INVALID_ARGUMENT',
    'Correct the manifest where the message points; docs/policy.md and docs/schema say what may be written.',
  ),
  policy_checks_nothing: row(
    'INVALID_ARGUMENT',
    'Give the rule something to compare with, or leave the component out: what is not checked must not look checked.',
  ),
  policy_too_large: row('RESOURCE_EXHAUSTED', 'Split the set, or remove what no host runs any more.'),
  blast_radius_exceeded: row(
    'FAILED_PRECONDITION',
    'Look at `policy simulate -f FILE`, stage the change with acceptNext, or say --allow-withdrawal PERCENT if it is meant.',
  ),
  object_repeated: row(
    'INVALID_ARGUMENT',
    'Declare each object once; what belongs together goes into one document.',
  ),
  object_not_found: row(
    'NOT_FOUND',
    'List them with `touchmark-server policy list`, `reference list` and `group list`.',
  ),
  object_in_use: row('FAILED_PRECONDITION', 'Change or delete what names it first.'),
  reference_cycle: row('FAILED_PRECONDITION', 'Take one of the named includes out.'),
  reference_missing: row(
    'FAILED_PRECONDITION',
    'Apply what is named together with what names it, or correct the name: `touchmark-server reference list` and `policy list`.',
  ),
};
