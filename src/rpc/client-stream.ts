import type { Message } from '@bufbuild/protobuf';
import { type ClientDuplexStream, type StatusObject, status } from '@grpc/grpc-js';
import { type RpcError, rpcErrorOf } from './rpc-error.js';

/** A call with a stream in both directions; `responses` is read by one reader. */
export interface ClientStream {
  send(message: Message): Promise<void>;
  closeSend(): void;
  readonly responses: AsyncIterable<Message, undefined>;
  cancel(): void;
  serverLeaf(): Uint8Array | undefined;
}

type Duplex = ClientDuplexStream<Message, Message>;

export function clientStream(call: Duplex, signal?: AbortSignal): ClientStream {
  let end: RpcError | 'ok' | undefined;
  let wake: (() => void) | undefined;
  const cancel = () => call.cancel();
  call.on('readable', () => wake?.());
  // grpc-js reports the same end as an error too; without a listener that would take the process down.
  call.on('error', () => {});
  call.on('status', (last: StatusObject) => {
    signal?.removeEventListener('abort', cancel);
    end = last.code === status.OK ? 'ok' : rpcErrorOf(last);
    wake?.();
  });
  if (signal?.aborted) cancel();
  else signal?.addEventListener('abort', cancel, { once: true });

  async function next(): Promise<IteratorResult<Message, undefined>> {
    for (;;) {
      const item = call.read() as Message | null;
      if (item !== null) return { done: false, value: item };
      if (end === 'ok') return { done: true, value: undefined };
      if (end !== undefined) throw end;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
      wake = undefined;
    }
  }

  return {
    send: (message) => sent(call, message, () => end),
    closeSend: () => call.end(),
    responses: { [Symbol.asyncIterator]: () => ({ next }) },
    cancel,
    serverLeaf() {
      const raw = call.getAuthContext()?.sslPeerCertificate?.raw;
      return raw === undefined ? undefined : new Uint8Array(raw);
    },
  };
}

/** Settles with the write or, when the call ends first, with its end: grpc-js drops the callbacks of such writes. */
function sent(call: Duplex, message: Message, end: () => RpcError | 'ok' | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const over = () => {
      const why = end();
      reject(
        why === undefined || why === 'ok'
          ? rpcErrorOf({ code: status.CANCELLED, details: 'the call is over' })
          : why,
      );
    };
    if (end() !== undefined) {
      over();
      return;
    }
    call.once('status', over);
    call.write(message, () => {
      call.removeListener('status', over);
      resolve();
    });
  });
}
