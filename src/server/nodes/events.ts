import type { SpiffeId } from '../../spiffe/id.js';
import type { HostState, Reason } from '../model.js';

/** What happens to nodes and hosts, for the audit log, metrics and whoever watches. Holds no secret. */
export type NodeEvent =
  | {
      readonly name: 'node_attested';
      readonly nodeId: SpiffeId;
      readonly type: string;
      readonly address: string;
      readonly serial: string;
      readonly attestationNumber: number;
    }
  | { readonly name: 'host_enrolled'; readonly hostId: string; readonly enrolledBy: string }
  | { readonly name: 'host_waits'; readonly hostId: string; readonly code: string; readonly address: string }
  | { readonly name: 'host_suspect'; readonly hostId: string; readonly reasons: readonly Reason[] }
  /** Its evidence fails its policy: its identities are taken back. */
  | { readonly name: 'host_drifted'; readonly hostId: string; readonly reasons: readonly Reason[] }
  /** Its evidence is good again. */
  | { readonly name: 'host_recovered'; readonly hostId: string; readonly state: HostState }
  /** Two agents hold one node's key; only nodes with a host can be put under suspicion for it. */
  | { readonly name: 'node_seen_twice'; readonly nodeId: SpiffeId; readonly addresses: readonly string[] }
  | { readonly name: 'host_changed'; readonly hostId: string; readonly change: string; readonly by: string };

export type NodeEvents = (event: NodeEvent) => void;
