/** What the verbs on hosts share. */
import type { Clock } from '../../clock.js';
import type { TpmAttestationConfig } from '../../config/server-config.js';
import type { SpiffeId, TrustDomain } from '../../spiffe/id.js';
import type { Registry } from '../contract.js';
import type { Datastore } from '../datastores/contract.js';
import type { Reason } from '../model.js';
import type { NodeEvents } from '../nodes/events.js';
import type { AllowedIndex } from './allowed.js';
import type { Enrolment } from './enrol.js';
import type { Found } from './find.js';
import type { Labels } from './names.js';
import type { ApprovalQueue } from './queue.js';

export interface HostsDeps {
  readonly trustDomain: TrustDomain;
  readonly store: Datastore;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly onEvent: NodeEvents;
  /** Absent: no chip attests, and what is known of hosts can still be looked at. */
  readonly config?: Pick<TpmAttestationConfig, 'enrol' | 'anyGenuineAlgorithm' | 'approval' | 'suspectGrace'>;
}

/** What every verb works with. */
export interface HostsContext extends HostsDeps {
  readonly queue: ApprovalQueue;
  readonly allowed: AllowedIndex;
}

/** A host that an operator allows by the hash of one of its EKs. */
export interface AllowRequest {
  readonly ekHash: string;
  readonly name: string;
  readonly labels: Labels;
}

/** What an operator changes of a host. */
export interface HostSetting {
  /** Absent: stays. */
  readonly name?: string;
  /** Added or overwritten. */
  readonly labels: Labels;
  readonly removeLabels: readonly string[];
}

/** `by` is who asks, as the audit log names them: `uid 0`, a SPIFFE ID. References are hashes, names or codes. */
export interface Hosts {
  readonly enrolment: Enrolment;
  find(reference: string): Promise<Found>;
  /** Enrolled, allowed and waiting hosts, in the order of their IDs. */
  list(): Promise<Found[]>;
  /** Repeating an allowance updates it; of an enrolled host, name and labels are set. */
  allow(request: AllowRequest, by: string): Promise<Found>;
  /** @throws TouchmarkError `approval_unknown` */
  approve(reference: string, given: { name: string; labels: Labels }, by: string): Promise<Found>;
  /** A chip that waits is refused for as long as it would have waited; an allowance is taken back. */
  deny(reference: string, by: string): Promise<void>;
  set(reference: string, change: HostSetting, by: string): Promise<Found>;
  quarantine(reference: string, reason: string, by: string): Promise<Found>;
  /** Ends suspicion, drift, quarantine and ban. */
  release(reference: string, by: string): Promise<Found>;
  /** For good: the node is evicted, and no key of the chip is let in again. */
  retire(reference: string, reason: string, by: string): Promise<Found>;
  /** Moves name, labels and the entries below the old node to the new host; the old one is retired. */
  replace(oldReference: string, newReference: string, by: string): Promise<Found>;
  /** Every trace of a host but its entries. A banned one is refused: it could enrol again. */
  forget(reference: string, by: string): Promise<void>;
  /** Bans a node together with its host, in one batch: none of its keys is let in again. Nothing happens for a node without a host. */
  banNode(nodeId: SpiffeId, by: string): Promise<void>;
  /** What the counters, or two live sessions, say. */
  suspect(hostId: string, reasons: readonly Reason[]): Promise<void>;
}
