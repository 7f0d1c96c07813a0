import type { AgentConfig } from '../../config/agent-config.js';
import type { OpenTpmOptions, TpmDevice } from '../../host/tpm.js';
import type { Logger } from '../../log.js';
import type { Chip } from '../measure/chip.js';
import type { Measurer } from '../measure/measurer.js';

/** The agent's half of one way to prove a node. It lives as long as the agent and keeps what is dear to open. */
export interface NodeAttestor extends AsyncDisposable {
  /** As in AttestationData.type. */
  readonly type: string;
  /** Whether a lost or ended node SVID can be had again by the same proof. */
  readonly reattestable: boolean;
  /** The chip that the node is proved by, if it is proved by one: the same that quotes for its sessions. */
  readonly chip?: Chip;
  /** Begins one attestation: what is said first. */
  begin(signal: AbortSignal): Promise<Attempt>;
}

/** One attestation, on one connection. */
export interface Attempt {
  /** AttestationData.payload. */
  readonly payload: Uint8Array;
  /**
   * Answers the challenges of one attestation in their order.
   * @throws TouchmarkError `node_attestation_failed` when one makes no sense for this attestor
   */
  answer(challenge: Uint8Array, connection: AttestedConnection): Promise<Answer>;
}

/** What an answer may be bound to: bytes exactly as they were on the wire. */
export interface AttestedConnection {
  /** Leaf certificate that the server showed on this connection, DER. */
  readonly serverLeaf: Uint8Array;
  /** The request whose key is to be certified, DER. */
  readonly csr: Uint8Array;
}

export interface Answer {
  readonly response: Uint8Array;
  /** What an operator must approve, when the server said so; otherwise empty. */
  readonly approvalCode: string;
}

export interface NodeAttestorDeps {
  readonly config: AgentConfig;
  readonly log: Logger;
  readonly agentVersion: string;
  readonly measurer: Measurer;
  openTpm(options: OpenTpmOptions): Promise<TpmDevice>;
  /** A secret from a file or a systemd credential of that name. @throws TouchmarkError `node_secret_missing` */
  readSecret(file: string, what: string): Promise<Uint8Array>;
}
