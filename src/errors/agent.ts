import { type ErrorRow, row } from './row.js';

/** Error codes of the agent. */
export const agentErrors = {
  // agent: workloads
  peer_not_administrator: row('PERMISSION_DENIED', 'Ask as root, or as the user that the agent runs as.'),
  log_level_invalid: row('INVALID_ARGUMENT', 'Use trace, debug, info, warn or error.'),
  agent_starting: row(
    'UNAVAILABLE',
    'Wait: `touchmark-agent healthcheck` and the agent log say what it waits for.',
  ),
  identities_withdrawn: row(
    'PERMISSION_DENIED',
    'Ask the operator: `touchmark-server host show` says why and since when.',
  ),
  no_identity: row(
    'PERMISSION_DENIED',
    'Run `touchmark-agent explain` as the workload: it says which selector is missing.',
  ),
  workload_attestation_failed: row('UNAVAILABLE', 'The agent log names the attestor that failed and why.'),
  peer_changed: row(
    'PERMISSION_DENIED',
    'Connect from the program that is to have the identity, not from one that executes it.',
  ),
  security_header_missing: row(
    'INVALID_ARGUMENT',
    'Send the metadata workload.spiffe.io: true with every request.',
  ),
  audience_invalid: row('INVALID_ARGUMENT', 'Name at least one audience for which the token is meant.'),
  too_many_streams: row(
    'RESOURCE_EXHAUSTED',
    'Close streams that are not needed, or raise limits.streams_per_uid.',
  ),
  explain_not_allowed: row('PERMISSION_DENIED', 'Ask about other processes on the admin socket.'),
  unit_unknown: row('FAILED_PRECONDITION', 'The process does not run in a systemd unit.'),
  unit_changed: row(
    'PERMISSION_DENIED',
    'The service was stopped or started again: its new processes get their own identities when they connect.',
  ),
  executable_path_untrusted: row(
    'FAILED_PRECONDITION',
    'Run the workload in the host’s own mount namespace, or select it by sha256.',
  ),
  executable_in_memory: row(
    'FAILED_PRECONDITION',
    'Run the workload from a file: what lies in memory only was measured by nobody.',
  ),
  // agent: node
  svid_unavailable: row(
    'UNAVAILABLE',
    'Try again; `touchmark-agent explain`, run as root, tells what the server said and when.',
  ),
  server_away: row('UNAVAILABLE', 'Check server_address, server_port and the network in between.'),
  server_untrusted: row(
    'UNAUTHENTICATED',
    'Check that the address is the server of this trust domain and that trust_bundle_file is its bundle.',
  ),
  server_unimplemented: row('UNIMPLEMENTED', 'Update the server, or configure the agent for what it can do.'),
  server_refused: row('FAILED_PRECONDITION', 'The message is the words of the server; its log tells more.'),
  server_answer_invalid: row('INTERNAL', 'Nothing of it was used: compare the versions of agent and server.'),
  node_refused: row('PERMISSION_DENIED', 'Nothing to do: the agent attests again by itself.'),
  node_banned: row('PERMISSION_DENIED', 'Evict the agent at the server to let it attest again.'),
  node_attestation_failed: row('FAILED_PRECONDITION', 'Follow the message; the agent goes on trying.'),
  node_secret_missing: row(
    'FAILED_PRECONDITION',
    'Put it into the configured file or systemd credential, readable to the agent only.',
  ),
  session_lost: row('UNAVAILABLE', 'Nothing to do: the agent connects again by itself.'),
  bootstrap_missing: row(
    'FAILED_PRECONDITION',
    'Set trust_bundle_file to what `touchmark-server bundle show` writes.',
  ),
} as const satisfies Record<string, ErrorRow>;
