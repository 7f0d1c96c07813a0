import type {
  DescMessage,
  DescMethodBiDiStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageShape,
} from '@bufbuild/protobuf';
import type { AuditFields } from '../../events.js';
import type { Answer } from '../../rpc/call.js';
import type { Caller } from '../access/caller.js';
import type { Node } from '../model.js';

/** One call as a service sees it: authorised already, with everything that may be asked of it. */
export interface ApiCall {
  readonly caller: Caller;
  /** Remote address without port; empty on the Unix socket. */
  readonly address: string;
  /** DER of the server certificate that this connection was shown; empty on the Unix socket. Dear when first read. */
  readonly serverLeaf: Uint8Array;
  /** Fires when the caller gave up, the connection ended or the server stops. */
  readonly signal: AbortSignal;
  /** Unix milliseconds; undefined when the caller set none. */
  readonly deadline: number | undefined;
  /**
   * The calling node, checked anew each time that it is asked for.
   * @throws TouchmarkError `agent_expired`, `agent_not_attested`, `agent_banned`, `agent_not_active`, `permission_denied`
   */
  node(): Node;
  /**
   * As `node`, when something is about to be issued or handed out: its state must permit it at this moment.
   * @throws TouchmarkError what `checkIssuance` says
   */
  issuingNode(): Node;
  /** Adds to the call's line in the audit log. */
  audit(fields: AuditFields): void;
}

type Handler<M> =
  M extends DescMethodUnary<infer I extends DescMessage, infer O extends DescMessage>
    ? (request: MessageShape<I>, call: ApiCall) => Promise<Answer<MessageShape<O>>>
    : M extends DescMethodBiDiStreaming<infer I extends DescMessage, infer O extends DescMessage>
      ? (requests: AsyncIterable<MessageShape<I>>, call: ApiCall) => AsyncIterable<Answer<MessageShape<O>>>
      : M extends DescMethodServerStreaming<infer I extends DescMessage, infer O extends DescMessage>
        ? (request: MessageShape<I>, call: ApiCall) => AsyncIterable<Answer<MessageShape<O>>>
        : never;

/** Every method of a service; a missing one does not compile. */
export type ApiService<S extends DescService> = { [K in keyof S['method']]: Handler<S['method'][K]> };
