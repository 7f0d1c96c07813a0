/**
 * Everything that the audit log can say, declared once, with its fields. An audit line never holds a token, a key, or the
 * body of an SVID; where one must be told from another, it holds a digest, a serial or an id.
 */
export const auditEvents = {
  rpc: 'A call to the server’s API ended, whatever its outcome.',
  server_started: 'The server is ready to answer.',
  server_stopping: 'The server begins to stop.',
  server_svid_rotated: 'The server took a new SVID of its own into use.',
  entry_pruned: 'An entry reached its end and was removed.',
  node_serial_promoted:
    'A node presented the SVID of its last renewal for the first time; the one before is void.',
  authority_changed: 'The bundle or an authority that signs changed.',
  node_attested: 'A node proved itself and got an SVID.',
  identities_withdrawn:
    'What a node and its workloads hold is not to be accepted any more; it entered the deny feed.',
  host_enrolled: 'A chip was let in as a host.',
  host_waits: 'A chip waits for an operator to approve it.',
  host_suspect: 'Something about a host does not add up; its grace runs.',
  host_drifted: 'The evidence of a host fails its policy: its identities are taken back.',
  host_recovered: 'The evidence of a host that had drifted is good again.',
  node_seen_twice: 'Two agents hold the key of one node.',
  host_changed: 'An operator changed a host.',
} as const;

export type AuditEvent = keyof typeof auditEvents;

/** The fields that an `rpc` line may carry beside the caller and the outcome, with what they mean. */
export const auditFields = {
  address: 'Where the peer called from.',
  addresses: 'Where the two agents called from.',
  agent_id: 'The agent that the call is about.',
  agent_version: 'What the agent says its version is.',
  allowed_withdrawal:
    'Percent of the good hosts whose trust a publication was allowed to take, in place of the configured share.',
  attestation_type: 'How the node proved itself.',
  attestation_number: 'How many times this node has attested.',
  audience: 'For whom a JWT-SVID was made.',
  authority_id: 'The authority that was prepared, activated, tainted or revoked.',
  change: 'What was done to a host.',
  count: 'How many items the call had.',
  csr_sha256: 'SHA-256 of the certificate request, hex.',
  by: 'Who did it.',
  enrolled_by: 'Why a chip was let in.',
  dry_run: 'Nothing was written.',
  entry_ids: 'The entries that the call is about, the first 20 of them.',
  expires_at: 'When what was issued ends, Unix seconds.',
  failed: 'How many items of a batch failed.',
  host: 'The host that the call is about, as the operator named it.',
  host_id: 'The host that the event is about.',
  hosts: 'The hosts that the call is about, as the operator named them.',
  hosts_lost: 'How many good hosts a publication made suspect or drifted.',
  level: 'The level of logging that was set.',
  mode: 'How entries that federate with a deleted bundle are treated.',
  objects: 'The measurement objects that the call is about, each with what became of it.',
  parent_id: 'The parent of a created entry, when all of the call have the same.',
  reasons: 'Codes of what does not add up.',
  serial: 'Serial number of the certificate that was issued, hex.',
  state: 'The state that a host came to.',
  spiffe_id: 'The identity that the call is about.',
  subject_key_id: 'The upstream authority that was tainted or revoked.',
  trust_domains: 'The foreign trust domains that the call is about.',
} as const;

export type AuditField = keyof typeof auditFields;
export type AuditFields = Partial<Record<AuditField, string | number | readonly string[]>>;
