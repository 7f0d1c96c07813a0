import type { Audit } from '../access/audit.js';
import type { NodeEvent, NodeEvents } from './events.js';

/** What happens to nodes and hosts, as lines of the audit log. */
export function auditNodeEvents(audit: Audit): NodeEvents {
  return (event) => audit.event(event.name, fieldsOf(event));
}

function fieldsOf(event: NodeEvent): Parameters<Audit['event']>[1] {
  switch (event.name) {
    case 'node_attested':
      return {
        agent_id: event.nodeId,
        attestation_type: event.type,
        attestation_number: event.attestationNumber,
        serial: event.serial,
        address: event.address,
      };
    case 'host_enrolled':
      return { host_id: event.hostId, enrolled_by: event.enrolledBy };
    case 'host_waits':
      // The code that the operator compares is shown by the host itself and by `host list`, never by the log.
      return { host_id: event.hostId, address: event.address };
    case 'host_recovered':
      return { host_id: event.hostId, state: event.state };
    case 'host_suspect':
    case 'host_drifted':
      return { host_id: event.hostId, reasons: event.reasons.map((reason) => reason.code) };
    case 'node_seen_twice':
      return { agent_id: event.nodeId, addresses: event.addresses };
    case 'host_changed':
      return { host_id: event.hostId, change: event.change, by: event.by };
  }
}
