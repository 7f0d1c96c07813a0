import { type ErrorRow, row } from './row.js';

/** Error codes of the agent's side of measurement. */
export const agentMeasureErrors = {
  // host: logs of firmware, user space and kernel
  log_unreadable: row(
    'UNAVAILABLE',
    'Run `touchmark-agent doctor` as root: it reads every log and says what is wrong.',
  ),
  // agent: measurement
  tick_invalid: row('INVALID_ARGUMENT', 'Nothing was measured: compare the versions of agent and server.'),
} as const satisfies Record<string, ErrorRow>;
