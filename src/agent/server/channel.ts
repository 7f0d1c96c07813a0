import type { SpiffeId } from '../../spiffe/id.js';
import type { NodeSvid, ServerApi } from './api.js';

/** One connection to the server, verified as it was made. Closing it ends every call on it. */
export interface ServerChannel extends Disposable {
  readonly api: ServerApi;
  /** AttestAgent: says `opening`, answers challenges, and returns what the server issued. */
  attest(opening: AttestOpening, answer: AnswerChallenge, signal: AbortSignal): Promise<AttestResult>;
}

export interface AttestOpening {
  readonly type: string;
  readonly payload: Uint8Array;
  readonly csr: Uint8Array;
}

/** `serverLeaf`: DER of the certificate that the server showed on the connection that carries this very stream. */
export type AnswerChallenge = (challenge: Uint8Array, serverLeaf: Uint8Array) => Promise<Uint8Array>;

export interface AttestResult {
  /** As the server says it; the chain is what counts. */
  readonly id: SpiffeId;
  readonly chain: readonly Uint8Array[];
  readonly reattestable: boolean;
}

/** Opens a channel: as nobody, or with the node's SVID as client certificate. Connects when it is first used. */
export type Dial = (svid: NodeSvid | undefined) => ServerChannel;
