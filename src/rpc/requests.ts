import type { Readable } from 'node:stream';
import type { ServerCall } from './server-call.js';

/**
 * A client's stream of messages, pulled one at a time. Unlike a Readable's own iterator it leaves the stream open when
 * the reader stops, because answers may still have to be written to it.
 * Ends when the client half-closes; throws the signal's reason when the call is over.
 */
export function requestsOf<T, C>(
  source: Readable,
  call: ServerCall<C>,
  decode: (item: unknown) => T,
): AsyncIterable<T> {
  const { signal } = call;
  let wake: (() => void) | undefined;
  let ended = false;
  const stir = () => wake?.();
  source.on('readable', stir);
  source.once('end', () => {
    ended = true;
    stir();
  });
  signal.addEventListener('abort', stir, { once: true });

  async function next(): Promise<IteratorResult<T, undefined>> {
    for (;;) {
      signal.throwIfAborted();
      const item: unknown = source.read();
      if (item !== null) return { done: false, value: decode(item) };
      if (ended) return { done: true, value: undefined };
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
      wake = undefined;
    }
  }
  return { [Symbol.asyncIterator]: () => ({ next }) };
}
