import type { SpiffeId } from '../../spiffe/id.js';
import type { Selector } from '../../spiffe/selector.js';
import type { Condition, Write } from '../datastores/contract.js';

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
  /** Sends a challenge and waits for its answer; both bounded. */
  challenge(bytes: Uint8Array): Promise<Uint8Array>;
}

/** What was proved. The caller signs, then commits `writes` together with the node's record, under `conditions`. */
export interface AttestedIdentity {
  readonly nodeId: SpiffeId;
  readonly selectors: readonly Selector[];
  readonly canReattest: boolean;
  readonly hostId?: string;
  readonly writes: readonly Write[];
  readonly conditions: readonly Condition[];
  /** Called once all of it is committed: for events, which must not tell of what then did not happen. */
  committed?(): void;
}

/** One way of proving which node is speaking. */
export interface NodeAttestor {
  readonly type: string;
  attest(request: AttestationRequest): Promise<AttestedIdentity>;
}
