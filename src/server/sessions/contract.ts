/** What a session is told by its surroundings, and the rules of time that it lives by. */
import type { Clock } from '../../clock.js';
import type { Logger } from '../../log.js';
import type { SpiffeId, TrustDomain } from '../../spiffe/id.js';
import type { AgentMessage, ServerMessage } from '../../wire/gen/touchmark/session/v1/session_pb.js';
import type { Authority, Registry } from '../contract.js';
import type { MeasurementRoom } from '../measurements/measurements.js';
import type { Reason } from '../model.js';
import type { NodeEvents } from '../nodes/events.js';

export const sessionTimes = {
  /** An agent sends one this often, in milliseconds. */
  heartbeatMs: 20_000,
  /** So many missed ones in a row end a session. */
  missedHeartbeats: 3,
  helloMs: 10_000,
  /** A second request for the whole set within this time ends the session. */
  failureMs: 10_000,
} as const;

export const sessionLimits = {
  /** A message stays well below 1 MiB. */
  messageBytes: 512 * 1024,
  /** All bundles of a node and the CRLs are one message, which stays below the 4 MiB that gRPC takes when nobody says otherwise. */
  bundlesBytes: 3 * 1024 * 1024,
  /** A change of the CRLs is sent to the fleet no faster than this. */
  crlBytesPerSecond: 100 * 1024 * 1024,
  /** Beside the one in force: what is left of broken connections. */
  olderSessions: 3,
  /** Entries, over all nodes, that are remembered for agents that come back. */
  rememberedEntries: 2_000_000,
  /** From one agent between two heartbeats' time, beside evidence, which is bounded by what is asked for. */
  messagesPerInterval: 100,
} as const;

export interface SessionsDeps {
  readonly trustDomain: TrustDomain;
  /** Names the datastore's history: `Datastore.epoch`. */
  readonly epoch: string;
  readonly registry: Registry;
  readonly authority: Pick<Authority, 'bundle' | 'bundleOf' | 'onChange'>;
  /** DER, the same objects until they change; all together at most `MOST_CRL_BYTES`. */
  readonly crls?: { current(): readonly Uint8Array[]; onChange(listener: () => void): () => void };
  readonly clock: Clock;
  readonly log: Logger;
  readonly onEvent: NodeEvents;
  /** Seconds between two attestations of a host; 0: as long as its SVID lasts. */
  readonly reattestInterval: number;
  readonly measuring: Pick<MeasurementRoom, 'attach' | 'isFresh'>;
  /** Puts a host under suspicion: `Hosts.suspect`. */
  suspect(hostId: string, reasons: readonly Reason[]): Promise<void>;
}

/** The connection that a session runs over, authenticated: the node of this SVID, of which it was said that it is in force. */
export interface SessionCall {
  readonly nodeId: SpiffeId;
  /** Hex, of the certificate that this connection presented. */
  readonly serial: string;
  /** Unix seconds: its end. */
  readonly svidExpiresAt: number;
  readonly address: string;
  /** Fires when the call is over; a peer that reads nothing is ended by the one who writes. */
  readonly signal: AbortSignal;
}

export interface Sessions extends Disposable {
  /**
   * One session, for as long as it lives.
   * @throws TouchmarkError `session_*`, or why the node has no say any more: `agent_banned`, `agent_not_attested`
   */
  open(
    requests: AsyncIterable<AgentMessage>,
    call: SessionCall,
  ): AsyncGenerator<ServerMessage, void, undefined>;
  /** Whether the node is heard from at this moment, its evidence included where a policy asks for it; what `stale` is derived from. */
  isLive(nodeId: SpiffeId): boolean;
  /** How many sessions are open, those included that a newer one took the place of. */
  readonly count: number;
}
