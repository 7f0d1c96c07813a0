import { row } from './row.js';

/** Error codes of measurement policies, reference sets and host groups. */
export const measurePolicyErrors = {
  glob_invalid: row(
    'INVALID_ARGUMENT',
    'Write a glob: * within a path segment, ** across segments, ? for one character; all else stands for itself.',
  ),
};
