import type { TouchmarkError } from '../../errors.js';
import type { SpiffeId } from '../../spiffe/id.js';
import type { Selector } from '../../spiffe/selector.js';
import type { Condition, Write } from '../datastores/contract.js';

/** Most that one attestation may send; a message over gRPC's own limit never gets here. */
export const attestationLimits = {
  payloadBytes: 256 * 1024,
  csrBytes: 16 * 1024,
  answerBytes: 256 * 1024,
  /** Of an answer that brings logs: below the 1 MiB of a message. */
  largeAnswerBytes: 1000 * 1024,
  /** Of all answers together: a whole list of 64 MiB in its parts. */
  allAnswersBytes: 72 * 1024 * 1024,
  rounds: 256,
} as const;

/** What an attestor is handed: exactly the bytes of this conversation, nothing that can differ from what is used later. */
export interface AttestationRequest {
  /** AttestationData.payload as it came. */
  readonly payload: Uint8Array;
  /** The one CSR of the conversation, DER; its key is the one that will be certified. */
  readonly csr: Uint8Array;
  /** DER of the server leaf that this very connection was shown. */
  readonly serverLeaf: Uint8Array;
  /** Remote address without port. */
  readonly address: string;
  readonly signal: AbortSignal;
  /** Sends a challenge and waits for its answer; both bounded. @param most bytes of the answer */
  challenge(bytes: Uint8Array, most?: number): Promise<Uint8Array>;
}

/** What was proved. The caller signs, then commits `writes` together with the node's record, under `conditions`. */
export interface AttestedIdentity {
  readonly nodeId: SpiffeId;
  readonly selectors: readonly Selector[];
  readonly canReattest: boolean;
  readonly hostId?: string;
  readonly writes: readonly Write[];
  readonly conditions: readonly Condition[];
  /** It proved who it is and is given nothing all the same; what is known of it is written, and this is thrown. */
  readonly refused?: TouchmarkError;
  /** Called once all of it is committed: for events, which must not tell of what then did not happen. */
  committed?(): void;
}

/** One way of proving which node is speaking. */
export interface NodeAttestor {
  readonly type: string;
  attest(request: AttestationRequest): Promise<AttestedIdentity>;
}
