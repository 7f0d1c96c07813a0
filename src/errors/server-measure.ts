import { row } from './row.js';

/** Error codes of the server's measuring of hosts. */
export const serverMeasureErrors = {
  evidence_invalid: row(
    'INVALID_ARGUMENT',
    'Use an agent of this version; the sentence says what in its evidence does not fit what was asked.',
  ),
  evidence_unexpected: row(
    'FAILED_PRECONDITION',
    'Nothing: the agent opens a new session, and is asked anew there.',
  ),
  evidence_late: row(
    'DEADLINE_EXCEEDED',
    'Look at the load of the host and of its chip: evidence is due some seconds after it is asked for.',
  ),
  evidence_busy: row(
    'RESOURCE_EXHAUSTED',
    'Nothing: too many hosts send long logs at once; the agent tries again.',
  ),
  evidence_unjudged: row('INTERNAL', 'Look at the server’s log; the host is asked again.'),
  archive_incomplete: row(
    'DATA_LOSS',
    'Nothing: the logs are asked for anew; look for what deletes records from the datastore.',
  ),
};
