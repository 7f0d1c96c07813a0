/** Every event that the record can hold, declared once. Names are never renamed and never reused. */
export const recordEvents = {
  host_enrolled: 'A chip was let in as a host.',
  host_state_changed: 'A host went into another state; from there on it gets identities, or gets none.',
  host_reasons_changed: 'A host stayed in its state, for other reasons.',
  host_verdict_changed:
    'A host’s evidence was judged otherwise: verdict, policy or the result of a component.',
  host_rebooted: 'A quote showed another boot of a host.',
  host_changed: 'Name, labels, attestation key or endorsement keys of a host changed.',
  host_forgotten: 'A host was removed.',
  host_allowed: 'An endorsement key was let in ahead of its host, or that was changed.',
  host_allowance_removed:
    'A key that was let in ahead is so no longer: its host came, or an operator took it back.',
  node_attested: 'A node attested for the first time.',
  node_changed: 'A node attested with other facts than before.',
  node_banned: 'A node was banned.',
  node_unbanned: 'The ban of a node ended.',
  node_evicted: 'A node was removed.',
  join_token_made: 'A one-time token was made.',
  entry_created: 'A registration entry was made.',
  entry_updated: 'A registration entry was changed.',
  entry_deleted: 'A registration entry was removed.',
  authority_added: 'An authority was made, and published.',
  authority_activated: 'An authority signs from now on.',
  authority_retired: 'An authority was replaced, and is still published.',
  authority_tainted: 'An authority is not to be used any more.',
  authority_changed: 'Something else of an authority changed.',
  authority_removed: 'An authority was revoked, or had ended.',
  bundle_set: 'A bundle was stored, or what was appended to the own one changed.',
  bundle_deleted: 'A bundle of another trust domain was removed.',
  measure_version_added: 'A version of a policy, a reference set or a host group was stored.',
  measure_published: 'Another version of a policy, a reference set or a host group is in force.',
  measure_unpublished: 'A policy, a reference set or a host group is in force no longer.',
  identities_withdrawn: 'A node’s identities were taken back.',
  withdrawal_changed: 'A withdrawal was made longer, or has other reasons.',
  withdrawal_ended: 'A withdrawal ended: all that it was about has expired, or was given anew.',
  record_started: 'This log began.',
  server_started: 'The server opened its log.',
  server_stopping: 'The server closed its log in order.',
  checkpoint: 'The log up to the line before, signed.',
  record_repaired: 'The end of the log was torn by a crash; it was cut off and written again.',
  record_damaged: 'The log did not fit what the server knew of it when it started.',
  record_pruned: 'Old segments of the log were removed.',
} as const;

export type RecordEventName = keyof typeof recordEvents;

/** What the log says of itself: not of any commit. */
export const ownEvents: ReadonlySet<string> = new Set<RecordEventName>([
  'record_started',
  'server_started',
  'server_stopping',
  'checkpoint',
  'record_repaired',
  'record_damaged',
  'record_pruned',
]);
