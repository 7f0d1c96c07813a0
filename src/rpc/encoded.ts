import type { Message } from '@bufbuild/protobuf';

const marked = Symbol('encoded');

/** An answer that a handler has in bytes already, for sending the same again and again; see `encoded`. */
export interface Encoded<M extends Message> {
  /** Says whose bytes they are; never present. */
  readonly message?: M;
  readonly [marked]: Uint8Array;
}

/** @param bytes an encoded message of the method's output type: they are sent as they are, and must not change any more */
export function encoded<M extends Message>(bytes: Uint8Array): Encoded<M> {
  return { [marked]: bytes };
}

export function bytesOf(answer: Message | Encoded<Message>): Uint8Array | undefined {
  return marked in answer ? answer[marked] : undefined;
}
