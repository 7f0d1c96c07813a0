import { type ErrorRow, row } from './row.js';

/** Error codes of the server. */
export const serverErrors = {
  // server: its API
  argument_invalid: row('INVALID_ARGUMENT', 'Correct the field that the message names and call again.'),
  permission_denied: row(
    'PERMISSION_DENIED',
    'Call as an administrator: on the server’s socket as root, or with an identity that [[administrators]] names.',
  ),
  rate_limited: row('RESOURCE_EXHAUSTED', 'Wait and call again, or raise the limit under [rate_limits].'),
  call_cancelled: row('CANCELLED', 'Nothing: the caller ended the call.'),
  agent_expired: row(
    'PERMISSION_DENIED',
    'The agent attests again by itself; check its clock if it does not.',
  ),
  agent_not_attested: row(
    'PERMISSION_DENIED',
    'The agent was evicted or never attested: it has to attest again.',
  ),
  agent_not_active: row(
    'PERMISSION_DENIED',
    'A newer SVID of this agent is in use: look for a second host with the same identity, then let it attest again.',
  ),
  agent_banned: row('PERMISSION_DENIED', 'An operator banned this agent: evict it to let it attest again.'),
  agent_must_reattest: row('PERMISSION_DENIED', 'This agent renews its SVID by attesting again.'),
  agent_not_found: row('NOT_FOUND', 'List the agents with `touchmark-server agent list`.'),
  entry_not_found: row('NOT_FOUND', 'List the entries with `touchmark-server entry show`.'),
  entry_exists: row('ALREADY_EXISTS', 'Update the existing entry, or change SPIFFE ID, parent or selectors.'),
  entry_not_authorized: row(
    'NOT_FOUND',
    'Check that the entry’s parent is this agent or one of its aliases, and that it was not deleted.',
  ),
  bundle_not_found: row('NOT_FOUND', 'List the bundles with `touchmark-server bundle list`.'),
  bundle_exists: row('ALREADY_EXISTS', 'Use `bundle set` to replace it.'),
  bundle_in_use: row(
    'FAILED_PRECONDITION',
    'Delete it with -mode dissociate to keep the entries, or -mode delete to delete them too.',
  ),
  join_token_exists: row('ALREADY_EXISTS', 'Choose another token, or leave it out to have one drawn.'),
  federation_later: row(
    'UNIMPLEMENTED',
    'Set bundles of other trust domains by hand with `bundle set` until then.',
  ),
  wit_unsupported: row('UNIMPLEMENTED', 'Use X.509-SVIDs or JWT-SVIDs.'),
  write_contended: row('ABORTED', 'Other writers were faster many times in a row: call again.'),
  server_stopping: row('UNAVAILABLE', 'Connect again: the server is restarting.'),
  server_socket_failed: row(
    'FAILED_PRECONDITION',
    'Check that the address is free and that this user may use it; another server may be running.',
  ),
  // attestation and hosts (server)
  attestation_request_invalid: row(
    'INVALID_ARGUMENT',
    'Send params with data and a certificate request first, then one answer to each challenge.',
  ),
  attestation_too_large: row(
    'INVALID_ARGUMENT',
    'No agent sends that much; look at what is speaking to the server.',
  ),
  attestor_unknown: row('FAILED_PRECONDITION', 'Use one of the attestors tpm, join_token and x509pop.'),
  attestor_not_configured: row(
    'FAILED_PRECONDITION',
    'Let the agent attest in a way that the server accepts, or add the section [attestation.*] to the server.',
  ),
  attestation_timeout: row('DEADLINE_EXCEEDED', 'Attest again; raise challenge_timeout if the chip is slow.'),
  attestation_raced: row(
    'ABORTED',
    'Attest again: the node or its host was changed while this attestation ran.',
  ),
  node_stale: row(
    'PERMISSION_DENIED',
    'Open a session first; identities are issued to hosts that are heard from.',
  ),
  join_token_invalid: row('INVALID_ARGUMENT', 'Make a new token: each works once, until it expires.'),
  x509pop_refused: row(
    'PERMISSION_DENIED',
    'Use a certificate for digital signatures that chains to the configured CA bundle, and its own key.',
  ),
  tpm_hello_invalid: row(
    'INVALID_ARGUMENT',
    'Use an agent of this version; look at the sentence for what is odd.',
  ),
  anchors_unreadable: row(
    'FAILED_PRECONDITION',
    'Give PEM files or directories of them that the server may read.',
  ),
  enrolment_refused: row(
    'PERMISSION_DENIED',
    'Allow the named endorsement key: touchmark-server host allow HASH.',
  ),
  enrolment_pending: row(
    'PERMISSION_DENIED',
    'Approve it: touchmark-server host approve CODE; the agent tries again.',
  ),
  enrolment_denied: row(
    'PERMISSION_DENIED',
    'An operator denied it; allow the key to let the host in after all.',
  ),
  enrolment_queue_full: row(
    'RESOURCE_EXHAUSTED',
    'Approve or deny hosts that wait, or raise the limits of approval.',
  ),
  host_unknown: row('NOT_FOUND', 'List hosts: touchmark-server host list.'),
  host_pending: row('PERMISSION_DENIED', 'Approve the host: touchmark-server host approve.'),
  host_suspect: row('PERMISSION_DENIED', 'Look at touchmark-server host show, then release or ban the host.'),
  binary_not_measured: row(
    'FAILED_PRECONDITION',
    'See that the IMA rules of the host measure executables (BPRM_CHECK with SHA-256), and that its agent sends the list.',
  ),
  host_drifted: row('PERMISSION_DENIED', 'Look at touchmark-server host show for what changed on the host.'),
  host_quarantined: row(
    'PERMISSION_DENIED',
    'Release it when it is looked after: touchmark-server host release.',
  ),
  host_banned: row(
    'PERMISSION_DENIED',
    'Every key of this chip is banned; release the host to let it in again.',
  ),
  host_retired: row(
    'PERMISSION_DENIED',
    'Another chip took its place; forget the host before enrolling it anew.',
  ),
  host_state_conflict: row(
    'FAILED_PRECONDITION',
    'Look at the state of the host: touchmark-server host show.',
  ),
  host_name_taken: row('ALREADY_EXISTS', 'Choose another name, or rename the host that has it.'),
  host_name_invalid: row(
    'INVALID_ARGUMENT',
    'Use at most 253 characters out of a-z A-Z 0-9 . - _ that do not look like a hash.',
  ),
  host_label_invalid: row(
    'INVALID_ARGUMENT',
    'Write labels as key=value: keys of a-z A-Z 0-9 . - _ /, values without control characters.',
  ),
  ek_hash_invalid: row(
    'INVALID_ARGUMENT',
    'Give the SHA-256 of the SubjectPublicKeyInfo as 64 hexadecimal digits.',
  ),
  approval_unknown: row('NOT_FOUND', 'Look at touchmark-server host list for what waits; codes expire.'),
  // sessions (server)
  session_hello_missing: row('INVALID_ARGUMENT', 'Send hello first, and only first.'),
  session_silent: row(
    'DEADLINE_EXCEEDED',
    'The agent must send a heartbeat every 20 seconds; it opens a new session.',
  ),
  session_flooded: row('RESOURCE_EXHAUSTED', 'Use an agent of this version; it opens a new session.'),
  session_broken: row('UNAVAILABLE', 'The agent opens a new session by itself.'),
  session_svid_ended: row(
    'PERMISSION_DENIED',
    'Attest again: a session ends with the node SVID that opened it.',
  ),
  session_replaced: row('ABORTED', 'The node opened a newer session; close this one.'),
  session_not_node: row('PERMISSION_DENIED', 'Only attested nodes open sessions, with their current SVID.'),
  // server: datastore, keys, authorities, issuing
  datastore_conflict: row('ABORTED', 'Read the record again and repeat the change; somebody was faster.'),
  datastore_full: row('RESOURCE_EXHAUSTED', 'Free space on the disk of the datastore and repeat the change.'),
  datastore_failed: row('INTERNAL', 'Look at the cause in the log, and check the disk and its permissions.'),
  datastore_locked: row(
    'FAILED_PRECONDITION',
    'Stop the other server, or give this one a data_dir of its own.',
  ),
  datastore_corrupt: row(
    'DATA_LOSS',
    'Restore the directory from a backup; it is not started with as it is.',
  ),
  datastore_format_unknown: row(
    'FAILED_PRECONDITION',
    'Run the version of Touchmark that wrote the datastore.',
  ),
  key_file_permissions: row('FAILED_PRECONDITION', "Make the key file the owner's alone: chmod 0600 FILE."),
  key_file_invalid: row(
    'DATA_LOSS',
    'Restore the key file from a backup, or remove it to make new authorities.',
  ),
  key_file_failed: row('INTERNAL', "Check the disk and the permissions of the key file's directory."),
  authority_id_missing: row(
    'INVALID_ARGUMENT',
    'Give the ID of the authority, as `localauthority show` prints it.',
  ),
  authority_unknown: row('INVALID_ARGUMENT', 'Give the ID of an authority that `localauthority show` lists.'),
  authority_in_use: row('INVALID_ARGUMENT', 'Prepare and activate another authority first.'),
  authority_not_prepared: row(
    'FAILED_PRECONDITION',
    'Run `localauthority prepare` and activate what it returns.',
  ),
  authority_not_old: row(
    'INVALID_ARGUMENT',
    'Only an authority that another has replaced can be tainted or revoked.',
  ),
  authority_tainted: row(
    'FAILED_PRECONDITION',
    'It is tainted already: revoke it when all SVIDs are replaced.',
  ),
  authority_not_tainted: row(
    'FAILED_PRECONDITION',
    'Taint it first, so that SVIDs are replaced before it goes.',
  ),
  authority_has_upstream: row(
    'FAILED_PRECONDITION',
    'Use `upstreamauthority taint` and `upstreamauthority revoke`.',
  ),
  upstream_authority_missing: row(
    'FAILED_PRECONDITION',
    'Configure an upstream authority, or use `localauthority`.',
  ),
  upstream_authority_invalid: row(
    'FAILED_PRECONDITION',
    'Correct cert_file, key_file or bundle_file of the upstream authority.',
  ),
  authority_unavailable: row('UNAVAILABLE', 'Look in the log for why no new authority could be made.'),
  issued_mismatch: row('INTERNAL', 'Report this defect: what was signed is not what was asked for.'),
} as const satisfies Record<string, ErrorRow>;
