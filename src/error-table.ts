/** gRPC status names, as docs and logs show them. */
export type RpcCode =
  | 'CANCELLED'
  | 'INVALID_ARGUMENT'
  | 'DEADLINE_EXCEEDED'
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'PERMISSION_DENIED'
  | 'RESOURCE_EXHAUSTED'
  | 'FAILED_PRECONDITION'
  | 'ABORTED'
  | 'OUT_OF_RANGE'
  | 'UNIMPLEMENTED'
  | 'INTERNAL'
  | 'UNAVAILABLE'
  | 'DATA_LOSS'
  | 'UNAUTHENTICATED';

interface ErrorRow {
  /** The gRPC status under which a peer sees it. */
  rpc: RpcCode;
  /** One sentence for the person who meets it. */
  remedy: string;
}

const row = (rpc: RpcCode, remedy: string): ErrorRow => ({ rpc, remedy });

/**
 * Every error code, sorted by layer: one line each, never renamed and never reused.
 * docs/errors.md is generated from this table.
 */
export const errorTable = {
  // spiffe
  spiffe_id_invalid: row(
    'INVALID_ARGUMENT',
    'Write it as spiffe://trust-domain/path with lower-case domain and plain segments.',
  ),
  trust_domain_invalid: row('INVALID_ARGUMENT', 'Use at most 255 characters out of a-z 0-9 . - _ only.'),
  selector_invalid: row('INVALID_ARGUMENT', 'Write a selector as type:value, for example unix:uid:1000.'),
  x509_svid_invalid: row(
    'INVALID_ARGUMENT',
    'Present a leaf certificate with one spiffe:// URI, as X509-SVID section 5 asks.',
  ),
  jwt_svid_invalid: row(
    'INVALID_ARGUMENT',
    'Fetch a fresh token for the right audience; the message says what is wrong with this one.',
  ),
  bundle_invalid: row('INVALID_ARGUMENT', 'Give a SPIFFE bundle document, a JWK set or CA certificates.'),
  bundle_missing: row('FAILED_PRECONDITION', 'Federate with that trust domain, or load its bundle.'),
  json_invalid: row('INVALID_ARGUMENT', 'Give one JSON value in UTF-8, without repeated names.'),
  entry_invalid: row(
    'INVALID_ARGUMENT',
    'Correct the field that the message names and send the entry again.',
  ),
  dns_name_invalid: row(
    'INVALID_ARGUMENT',
    'Use labels of letters, digits and hyphens; * only as the first label.',
  ),
  endpoint_address_invalid: row(
    'INVALID_ARGUMENT',
    'Write unix:///path/to.sock or tcp://IP:PORT, for example in SPIFFE_ENDPOINT_SOCKET.',
  ),
  // x509
  der_invalid: row(
    'INVALID_ARGUMENT',
    'Send the unchanged DER encoding (not PEM), complete and nothing after it.',
  ),
  csr_invalid: row('INVALID_ARGUMENT', 'Make a PKCS#10 request and sign it with the key that it carries.'),
  certificate_invalid: row('INVALID_ARGUMENT', 'Look at the certificate with `touchmark inspect svid FILE`.'),
  chain_untrusted: row(
    'UNAUTHENTICATED',
    'Check that the chain is complete, in time, and ends at an authority of its own trust domain.',
  ),
  key_unsupported: row('INVALID_ARGUMENT', 'Use an EC key on P-256 or P-384, or RSA of 2048 to 4096 bits.'),
  pem_invalid: row('INVALID_ARGUMENT', 'Give whole PEM blocks in padded base64.'),
  // tpm: structures and keys
  tpm_structure_truncated: row('INVALID_ARGUMENT', 'Send the structure whole, as the TPM returned it.'),
  tpm_structure_trailing: row(
    'INVALID_ARGUMENT',
    'Send exactly one structure, without its TPM2B size and without padding.',
  ),
  tpm_structure_too_large: row(
    'INVALID_ARGUMENT',
    'No TPM writes a field of that size: check what produced the bytes.',
  ),
  tpm_structure_invalid: row('INVALID_ARGUMENT', 'No TPM writes that value: check what produced the bytes.'),
  tpm_algorithm_unsupported: row(
    'INVALID_ARGUMENT',
    'Use RSA or NIST P-256, P-384, P-521 keys with SHA-256 or stronger.',
  ),
  tpm_key_invalid: row(
    'INVALID_ARGUMENT',
    'Read the key from the TPM again; a point off its curve is never accepted.',
  ),
  pcr_selection_invalid: row(
    'INVALID_ARGUMENT',
    'Choose PCRs out of 0 to 23 in one bank, such as sha256:0,2,4,7.',
  ),
  pcr_values_invalid: row(
    'INVALID_ARGUMENT',
    'Send one value of the size of the bank for each PCR of the selection.',
  ),
  // tpm: attestation key
  ak_unrestricted: row(
    'PERMISSION_DENIED',
    'Create the attestation key with the template in docs/attestation.md.',
  ),
  ak_not_signing: row(
    'PERMISSION_DENIED',
    'Create the attestation key with the template in docs/attestation.md.',
  ),
  ak_decrypts: row(
    'PERMISSION_DENIED',
    'Create the attestation key with the template in docs/attestation.md.',
  ),
  ak_not_fixed_tpm: row(
    'PERMISSION_DENIED',
    'Create the attestation key with the template in docs/attestation.md.',
  ),
  ak_not_fixed_parent: row(
    'PERMISSION_DENIED',
    'Create the attestation key with the template in docs/attestation.md.',
  ),
  ak_imported: row(
    'PERMISSION_DENIED',
    'Create the attestation key inside the TPM; an imported key proves nothing.',
  ),
  ak_no_user_auth: row(
    'PERMISSION_DENIED',
    'Create the attestation key with the template in docs/attestation.md.',
  ),
  ak_lockout: row(
    'PERMISSION_DENIED',
    'Create the attestation key with noDA, or a lockout of the TPM stops attestation.',
  ),
  ak_attributes_unexpected: row(
    'PERMISSION_DENIED',
    'Create the attestation key with the template in docs/attestation.md.',
  ),
  ak_curve: row('PERMISSION_DENIED', 'Create the attestation key on P-256.'),
  ak_scheme: row('PERMISSION_DENIED', 'Fix the scheme ECDSA with SHA-256 in the attestation key.'),
  ak_symmetric: row(
    'PERMISSION_DENIED',
    'Create the attestation key with the symmetric scheme TPM_ALG_NULL.',
  ),
  ak_name_algorithm: row('PERMISSION_DENIED', 'Create the attestation key with nameAlg SHA-256.'),
  ak_policy: row('PERMISSION_DENIED', 'Create the attestation key without an authorisation policy.'),
  // tpm: endorsement key
  ek_template: row(
    'PERMISSION_DENIED',
    'Use an endorsement key made from a template of the TCG EK Credential Profile.',
  ),
  ek_attributes: row(
    'PERMISSION_DENIED',
    'Use an endorsement key made from a template of the TCG EK Credential Profile.',
  ),
  ek_policy: row(
    'PERMISSION_DENIED',
    'Use an endorsement key made from a template of the TCG EK Credential Profile.',
  ),
  ek_symmetric: row(
    'PERMISSION_DENIED',
    'Use an endorsement key made from a template of the TCG EK Credential Profile.',
  ),
  ek_scheme: row(
    'PERMISSION_DENIED',
    'Use an endorsement key made from a template of the TCG EK Credential Profile.',
  ),
  ek_name_algorithm: row(
    'PERMISSION_DENIED',
    'Use an endorsement key made from a template of the TCG EK Credential Profile.',
  ),
  ek_key: row(
    'PERMISSION_DENIED',
    'Read the endorsement key from the TPM again; its number must have the size of its template.',
  ),
  ek_key_weak: row(
    'PERMISSION_DENIED',
    "Update the chip's firmware and let it make a new key, use its elliptic-curve key, or allow the host by its EK hash knowing that anybody may compute this one.",
  ),
  credential_too_long: row('INTERNAL', 'Use credentials of 32 bytes.'),
  // tpm: quotes
  quote_pcr_values: row(
    'PERMISSION_DENIED',
    'Send the values of the quoted PCRs as they were when quoted, or none.',
  ),
  quote_signature_scheme: row(
    'PERMISSION_DENIED',
    'Quote with the scheme that is fixed in the attestation key.',
  ),
  quote_signature: row(
    'PERMISSION_DENIED',
    'Send the attested bytes and the signature exactly as TPM2_Quote returned them.',
  ),
  quote_magic: row(
    'PERMISSION_DENIED',
    'Send what TPM2_Quote returned; nothing else is signed for this purpose.',
  ),
  quote_type: row('PERMISSION_DENIED', 'Send the attestation structure that was asked for.'),
  quote_nonce: row(
    'PERMISSION_DENIED',
    'Quote with the challenge of this very connection; a challenge is good once.',
  ),
  quote_signer: row(
    'PERMISSION_DENIED',
    'Create the attestation key as a primary of the endorsement hierarchy.',
  ),
  quote_selection: row(
    'PERMISSION_DENIED',
    'Quote exactly the PCRs that were asked for; is the bank allocated in this TPM?',
  ),
  quote_pcr_digest: row(
    'PERMISSION_DENIED',
    'The logs do not explain what the TPM holds: compare PCR by PCR with touchmark inspect quote.',
  ),
  certify_name: row('PERMISSION_DENIED', 'Certify the very key that is presented.'),
  // tpm: endorsement-key certificates
  ek_certificate_invalid: row(
    'INVALID_ARGUMENT',
    'Send the certificate as it is in NV, in DER; touchmark inspect ek FILE shows what was read.',
  ),
  ek_certificate_platform: row(
    'PERMISSION_DENIED',
    'Send the endorsement-key certificate (0x01C00002 or following), not the platform certificate.',
  ),
  ek_certificate_usage: row(
    'PERMISSION_DENIED',
    'This certificate is not for an endorsement key; find the right one with touchmark inspect tpm.',
  ),
  ek_certificate_key: row(
    'PERMISSION_DENIED',
    'Use an RSA (2048 to 4096 bits) or NIST curve endorsement key.',
  ),
  ek_certificate_other_key: row(
    'PERMISSION_DENIED',
    'The certificate belongs to another key: was the TPM exchanged, or its endorsement seed changed?',
  ),
  ek_certificate_critical: row(
    'PERMISSION_DENIED',
    'The certificate carries a condition that is not understood; allow the host by its EK hash instead.',
  ),
  ek_certificate_validity: row(
    'PERMISSION_DENIED',
    'Set expired_ek_certificates to warn, or allow the host by its EK hash.',
  ),
  ek_chain_untrusted: row(
    'PERMISSION_DENIED',
    "Add the vendor's CA to the anchors, or its intermediate certificates; touchmark inspect ek shows the issuer.",
  ),
  ek_chain_too_large: row(
    'RESOURCE_EXHAUSTED',
    'Send only the certificates between the endorsement key and its vendor.',
  ),
  anchors_invalid: row(
    'INVALID_ARGUMENT',
    'Give PEM certificates that match their index; see data/ek-anchors/README.md.',
  ),
  // attest
  attest_message_invalid: row(
    'INVALID_ARGUMENT',
    'Agent and server must speak the protocol of docs/attestation.md: compare their versions.',
  ),
  attest_message_too_large: row(
    'RESOURCE_EXHAUSTED',
    'Send fewer or smaller items; the limits are in docs/attestation.md.',
  ),
  activation_proof: row(
    'PERMISSION_DENIED',
    'The answer was not made by the chip that was challenged, or not for this connection; attest again.',
  ),
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
  // cli
  file_unreadable: row('INVALID_ARGUMENT', 'Check the path, and that the file is what the command expects.'),
  agent_unreachable: row(
    'UNAVAILABLE',
    'Start the agent, or name its socket with -socketPath or SPIFFE_ENDPOINT_SOCKET.',
  ),
  server_unreachable: row('UNAVAILABLE', 'Start the server, or name its socket with -socketPath.'),
  dev_failed: row('INTERNAL', 'The lines above are the end of its log; --dir keeps the rest.'),
  request_refused: row('FAILED_PRECONDITION', 'The server says why; nothing else was changed.'),
  not_serving: row('UNAVAILABLE', 'Look at its log, or wait until it has started.'),
  data_invalid: row('INVALID_ARGUMENT', 'Correct every place that is named; nothing was sent.'),
  flag_invalid: row('INVALID_ARGUMENT', 'Look at the flags with --help.'),
  // config
  config_unreadable: row(
    'FAILED_PRECONDITION',
    'Check the path and the permissions of the file, or give another with -config.',
  ),
  config_invalid: row(
    'FAILED_PRECONDITION',
    'Correct the places that are named; `validate` shows all of them at once.',
  ),
  // host: this machine's TPM, processes and files
  native_library_missing: row(
    'UNAVAILABLE',
    'Install the named package: apt install libtss2-esys-3.0.2-0 libtss2-mu0 libtss2-tctildr0.',
  ),
  tpm_tcti_invalid: row(
    'INVALID_ARGUMENT',
    'Write the TPM as device:/dev/tpmrm0 or swtpm:path=/run/x.sock, and install the libtss2-tcti-* package of that kind.',
  ),
  tpm_device_missing: row(
    'UNAVAILABLE',
    'Enable the TPM in the firmware setup and load its kernel driver; ls /dev/tpmrm0 must show it.',
  ),
  tpm_permission: row(
    'UNAVAILABLE',
    'Put the user of this process into the group that owns the device, usually tss.',
  ),
  tpm_unavailable: row(
    'UNAVAILABLE',
    'Look at the kernel log for lines about tpm; nothing has to be restarted, the next call opens the chip again.',
  ),
  tpm_timeout: row(
    'UNAVAILABLE',
    'Look at the kernel log for lines about tpm; nothing has to be restarted, the next call opens the chip again.',
  ),
  tpm_lockout: row(
    'UNAVAILABLE',
    'Wait for the lockout to end or reset it with tpm2_dictionarylockout --clear-lockout.',
  ),
  tpm_auth_failed: row(
    'FAILED_PRECONDITION',
    "Give the endorsement hierarchy's authorisation value to the agent as a credential.",
  ),
  tpm_command_failed: row('INTERNAL', 'Look the response code up with tpm2_rc_decode.'),
  tpm_credential_refused: row(
    'FAILED_PRECONDITION',
    'Attest again: the credential was made for another endorsement or attestation key.',
  ),
  tpm_key_unavailable: row(
    'FAILED_PRECONDITION',
    'Run `touchmark inspect tpm` to see which endorsement keys the chip has.',
  ),
  tpm_argument_invalid: row('INVALID_ARGUMENT', 'This is a defect in the caller; report it.'),
  peer_unknown: row(
    'PERMISSION_DENIED',
    'Connect to the Unix socket directly, from a running process on this host.',
  ),
  peer_gone: row(
    'PERMISSION_DENIED',
    'The process ended while it was being looked at; connect again from one that stays.',
  ),
  peer_other_namespace: row(
    'PERMISSION_DENIED',
    "Run the process in the pid namespace of the agent or share the host's: its number means nothing here.",
  ),
  proc_unreadable: row(
    'PERMISSION_DENIED',
    'Give the agent CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH and mount /proc without hidepid.',
  ),
  hash_refused: row(
    'FAILED_PRECONDITION',
    'Raise the size or time limit for hashing, or use selectors that need no hash.',
  ),
  hash_changed: row('ABORTED', 'The file was written while it was hashed; try again when it is at rest.'),
  file_too_large: row(
    'INVALID_ARGUMENT',
    'Look at what wrote this file: it is larger than anything expected there.',
  ),
  directory_locked: row(
    'FAILED_PRECONDITION',
    'Stop the process that holds the directory, or choose another directory.',
  ),
  listen_fds_invalid: row(
    'FAILED_PRECONDITION',
    'Check the .socket unit: what systemd passed does not fit LISTEN_FDS and LISTEN_FDNAMES.',
  ),
  swtpm_missing: row('FAILED_PRECONDITION', 'Install it: apt install swtpm swtpm-tools.'),
  swtpm_failed: row('UNAVAILABLE', 'Run the named program by hand to see what it says.'),
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
  // agent: node
  svid_unavailable: row(
    'UNAVAILABLE',
    'Try again; `touchmark-agent explain` tells what the agent waits for.',
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
  // wire
  wire_invalid: row('INVALID_ARGUMENT', 'Correct the field that the message names.'),
  // rpc
  health_unknown: row('NOT_FOUND', 'Ask for the empty name, or for a service that reflection lists.'),
  request_malformed: row(
    'INVALID_ARGUMENT',
    'Send the message of that name in protobuf, as the files in proto/ define it.',
  ),
  request_too_large: row('RESOURCE_EXHAUSTED', 'Split the request; the message names the limit in bytes.'),
  method_unimplemented: row('UNIMPLEMENTED', 'This method is not offered here; use another.'),
  call_deadline: row('DEADLINE_EXCEEDED', 'Give the call more time, or look for what slows the server.'),
  connection_closed: row('UNAVAILABLE', 'Connect again.'),
  reader_stuck: row('RESOURCE_EXHAUSTED', 'Read the stream, or close it.'),
  socket_in_use: row('FAILED_PRECONDITION', 'Stop the process that serves on it, or choose another path.'),
  socket_path_invalid: row(
    'FAILED_PRECONDITION',
    'Choose an absolute path of at most 107 bytes that is free.',
  ),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof errorTable;
